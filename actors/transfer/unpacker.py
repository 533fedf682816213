"""Making snapshots of an image's layers: each layer in a job, the commits in order.

With a snapshotter that re-bases (a layer is a directory of its own), every missing layer is prepared without a parent
and they are unpacked side by side; each is put on the one below it when it is committed. With others a layer is
prepared on the one below it, so they follow one another.

A snapshot in the making is called `unpack-TOKEN-N CHAIN`, where TOKEN is this incarnation of the worker: a key with
another token belongs to nobody any more, and `leftovers.py` removes it. The jobs of a dead worker are killed with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from actors import internal
from actors.jobs import KILLED, Jobs
from actors.transfer import targets
from actors.transfer.arrival import Arrival
from actors.transfer.blobs import GC_SNAPSHOT, UNCOMPRESSED
from actors.transfer.job import UnpackedLayer, UnpackJob
from actors.transfer.layerjobs import IMAGES, REBASING, fit_of, target_of
from actors.transfer.layersource import REPLACED, Opened, open_source
from actors.transfer.leasing import hold
from actors.transfer.operations import Report
from actors.transfer.plan import Layer, RootFs
from actors.transfer.targets import Target
from actors.transfer.unpack.errors import NEEDS_PARENT
from actors.worker import Worker
from config.settings import Transfer
from wharfie import failpoint
from wharfie.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wharfie.oci import chains
from wharfie.types import content, snapshots
from wharfie.types.base import Empty, Mount
from wharfie.types.transfer import Progress

PREFIX = "unpack-"
"""How the key of a snapshot in the making begins."""

_TRIES = 3
"""How often a layer is begun anew because somebody killed its job, or its bytes were replaced."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to unpack, and with what.

    Attributes:
        snapshotter: never empty.
        open_layer: where a layer's bytes are.
        may_commit: set when the layers are in the content store; nothing is committed before.
        arrival: of a layer that may still be on its way, read while it arrives; committed only when it is whole.
        lease: holds the snapshots; empty is the namespace's default one.
    """

    namespace: str
    snapshotter: str
    rootfs: RootFs
    open_layer: Callable[[Layer], Opened]
    may_commit: asyncio.Event
    report: Report
    arrival: Callable[[Layer], Arrival] | None = None
    lease: str = ""

    @property
    def rebases(self) -> bool:
        """Layers can be unpacked side by side."""
        return self.snapshotter in REBASING


@dataclass(frozen=True, kw_only=True)
class _Applied:
    """A layer that is unpacked under a key, not committed yet."""

    key: str
    target: Target
    layer: UnpackedLayer
    parent: str
    """What the key was prepared on; empty when it is to be put there."""


@dataclass(kw_only=True)
class _Run:
    """One unpacking: its keys that exist, its layers' directories by number, and the snapshots that `lost` theirs."""

    order: Order
    chain_ids: list[str]
    keys: set[str] = field(default_factory=set)
    directories: dict[int, str] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()


class Unpacker:
    """Unpacks images; the same layer on the same layers is unpacked once, however many ask for it."""

    def __init__(self, worker: Worker, jobs: Jobs, *, settings: Transfer, token: str, place: str) -> None:
        """Args:
        token: names this incarnation of the worker in keys.
        place: an empty directory where jobs mount what is for themselves alone.
        """
        self._worker = worker
        self._jobs = jobs
        self._settings = settings
        self._token = token
        self._place = place
        self._number = 0
        self._slots = asyncio.Semaphore(settings.max_concurrent_unpacks or os.cpu_count() or 1)
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    async def unpack(self, order: Order) -> str:
        """Unpack what is missing. Idempotent; a failure leaves no snapshot in the making behind.

        Returns: the name of the topmost snapshot; empty for an image without layers.

        Raises:
            FailedPrecondition: a layer has another diff id than the configuration says.
            WharfieError: what the archive is refused for, or another worker answered.
        """
        run = _Run(order=order, chain_ids=chains.chain_ids([layer.diff_id for layer in order.rootfs.layers]))
        if not run.chain_ids:
            return ""
        async with contextlib.AsyncExitStack() as held:
            # Locks are taken from the lowest layer upwards by everybody, so nobody waits in a circle.
            for chain_id in run.chain_ids:
                await held.enter_async_context(self._alone(order, chain_id))
            first = await self._first_missing(run)
            try:
                if order.rebases:
                    await self._side_by_side(run, first)
                else:
                    await self._in_order(run, first)
            finally:
                await self._remove_all(run)
        await order.may_commit.wait()
        if order.arrival is not None:
            # Where the snapshots were there already, nobody has waited for the blobs yet.
            for layer in order.rootfs.layers:
                await order.arrival(layer).whole()
        await self._label(run)
        return run.chain_ids[-1]

    # -- which layers ------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _alone(self, order: Order, chain_id: str) -> AsyncIterator[None]:
        name = (order.namespace, order.snapshotter, chain_id)
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    async def _first_missing(self, run: _Run) -> int:
        """The number of the lowest layer that is not there; asked from the top, since an image is whole as a rule."""
        asked = internal.SnapshotLost(snapshotter=run.order.snapshotter, keys=run.chain_ids)
        lost = await self._worker.call("snapshot.lost", asked, internal.Lost, namespace=run.order.namespace)
        run.lost = frozenset(lost.keys)
        for number in range(len(run.chain_ids) - 1, -1, -1):
            if await self._is_committed(run.order, run.chain_ids[number]):
                return min((run.chain_ids.index(chain_id) for chain_id in run.lost), default=number + 1)
        return 0

    async def _is_committed(self, order: Order, chain_id: str) -> bool:
        """Whether a layer is there, and stays: the lease holds it before it is looked at for the last time."""
        stat = snapshots.Stat(key=chain_id, snapshotter=order.snapshotter)
        for is_held in (not order.lease, True):
            try:
                info = await self._worker.call("snapshots.stat", stat, snapshots.Info, namespace=order.namespace)
            except NotFound:
                return False
            if info.kind is not snapshots.Kind.COMMITTED:
                return False
            if not is_held:
                await hold(self._worker, order.namespace, order.lease, f"snapshots/{info.snapshotter}", chain_id)
        return True

    # -- unpacking ---------------------------------------------------------------------------------------------------

    async def _side_by_side(self, run: _Run, first: int) -> None:
        layers = run.order.rootfs.layers
        async with asyncio.TaskGroup() as group:
            tasks = {number: group.create_task(self._alone_first(run, number)) for number in range(first, len(layers))}
            for number, task in tasks.items():
                await self._commit(run, number, await self._settled(run, number, await task))

    async def _in_order(self, run: _Run, first: int) -> None:
        for number in range(first, len(run.order.rootfs.layers)):
            await self._commit(run, number, await self._apply(run, number, parent=_parent(run, number)))

    async def _alone_first(self, run: _Run, number: int) -> _Applied | None:
        """Unpack a layer without those below it; None when it cannot be understood without them."""
        try:
            return await self._apply(run, number, parent="")
        except InvalidArgument as error:
            if error.details.get("reason") != NEEDS_PARENT or not number:
                raise
            return None

    async def _settled(self, run: _Run, number: int, applied: _Applied | None) -> _Applied:
        """Fit a layer to those below it, which are committed.

        One that does not fit is unpacked again, on top of them.
        """
        await run.order.may_commit.wait()
        parent = _parent(run, number)
        if applied is not None and (not parent or not applied.layer.implicit_dirs):
            return applied
        if applied is not None:
            lower = await self._lower(run, number)
            directory = applied.target.directory
            fit = fit_of(run.order.snapshotter)
            if await self._worker.blocking(fit, directory, lower, applied.layer.implicit_dirs):
                return applied
            await self._remove(run, applied.key)
        return await self._apply(run, number, parent=parent)

    async def _apply(self, run: _Run, number: int, *, parent: str) -> _Applied:
        """Unpack one layer under a key of its own, and hold what came out against its diff id."""
        order, layer = run.order, run.order.rootfs.layers[number]
        async with self._slots:
            for attempt in range(_TRIES):
                key = self._key(run.chain_ids[number])
                mounts = await self._prepare(run, key, parent=parent)
                target = targets.of(mounts, rebases=order.rebases)
                failpoint.hit("transfer.unpack.after-prepare")
                try:
                    # On top of other layers it is written through the mount that shows them: the kernel then does
                    # what the layer says to what is there.
                    on_top = mounts if parent and target.overlay else []
                    result = await self._run_job(order, layer, target, mounts=on_top)
                except Aborted as error:
                    if error.details.get("reason") not in {KILLED, REPLACED} or attempt == _TRIES - 1:
                        raise
                    await self._remove(run, key)
                else:
                    break
        failpoint.hit("transfer.unpack.after-apply")
        if order.snapshotter not in IMAGES:
            run.directories[number] = target.directory
        return _Applied(key=key, target=target, layer=result, parent=parent)

    async def _prepare(self, run: _Run, key: str, *, parent: str) -> list[Mount]:
        prepare = snapshots.Prepare(key=key, parent=parent, snapshotter=run.order.snapshotter)
        return await self._made(run, "snapshots.prepare", prepare)

    async def _made(self, run: _Run, method: str, request: snapshots.Prepare | snapshots.View) -> list[Mount]:
        # Noted before it is made: one that was made although we heard nothing of it is removed too.
        run.keys.add(request.key)
        namespace, lease, key = run.order.namespace, run.order.lease, f"{request.key}/make"
        reply = await self._worker.call(
            method, request, snapshots.Mounts, namespace=namespace, key=key, lease=lease, timeout_s=None
        )
        return reply.mounts

    async def _run_job(
        self, order: Order, layer: Layer, target: Target, *, mounts: Sequence[Mount] = ()
    ) -> UnpackedLayer:
        settings = self._settings

        def progress(done: int) -> None:
            order.report(Progress(event="unpacking", name=layer.digest, done=done, total=layer.size))

        arrival = order.arrival(layer) if order.arrival is not None else None
        async with open_source(layer, open_layer=order.open_layer, arrival=arrival) as source:
            progress(0)
            directory = os.open(target.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                job = self._jobs.run(
                    target_of(order.snapshotter, on_top=bool(mounts)),
                    UnpackJob(
                        offset=source.offset,
                        length=source.length,
                        is_growing=source.growth_fd >= 0,
                        media_type=layer.media_type,
                        overlay=target.overlay and not mounts,
                        max_bytes=settings.max_unpacked_bytes,
                        max_entries=settings.max_entries,
                        max_ratio=settings.max_ratio,
                        mounts=[*mounts],
                        place=self._place,
                    ),
                    UnpackedLayer,
                    name="unpack",
                    fds=[
                        source.fd,
                        *([source.growth_fd] if source.growth_fd >= 0 else []),
                        *([] if mounts else [directory]),
                    ],
                    progress=progress,
                )
                result = await source.unless_replaced(job)
            finally:
                os.close(directory)
            if result.diff_id != layer.diff_id:
                raise await source.reason_why(_other_diff_id(layer, result.diff_id))
            return result

    async def _commit(self, run: _Run, number: int, applied: _Applied) -> None:
        order = run.order
        await order.may_commit.wait()
        if order.arrival is not None:
            await order.arrival(order.rootfs.layers[number]).whole()
        parent = "" if applied.parent else _parent(run, number)
        failpoint.hit("transfer.unpack.before-commit")
        chain_id = run.chain_ids[number]
        commit = snapshots.Commit(name=chain_id, key=applied.key, snapshotter=order.snapshotter, parent=parent)
        try:
            key = f"{applied.key}/commit"
            await self._worker.call(
                "snapshots.commit", commit, Empty, namespace=order.namespace, key=key, lease=order.lease, timeout_s=None
            )
        except AlreadyExists:
            # Somebody else, a client, has made this very snapshot; ours is removed in the end.
            pass
        else:
            run.keys.discard(applied.key)
        if chain_id in run.lost:
            # Its directory now has the number of the snapshot that it is for.
            run.directories = {above: place for above, place in run.directories.items() if above > number}
        failpoint.hit("transfer.unpack.after-commit")
        layer = order.rootfs.layers[number]
        order.report(Progress(event="unpacked", name=layer.digest, done=layer.size, total=layer.size))

    async def _lower(self, run: _Run, number: int) -> Sequence[str]:
        """The directories of the layers below one, the nearest first."""
        ours = [run.directories[below] for below in range(number - 1, -1, -1) if below in run.directories]
        below = number - 1 - len(ours)
        if below < 0:
            return ours
        order = run.order
        # What was there before this run is looked at through a view.
        key = self._key(run.chain_ids[below])
        view = snapshots.View(key=key, parent=run.chain_ids[below], snapshotter=order.snapshotter)
        return [*ours, *targets.layers(await self._made(run, "snapshots.view", view))]

    async def _label(self, run: _Run) -> None:
        """What keeps the snapshots while the image is there, and tells a layer's diff id."""
        order = run.order
        rootfs = order.rootfs
        await self._update(order, rootfs.config, f"{GC_SNAPSHOT}{order.snapshotter}", run.chain_ids[-1])
        for layer in rootfs.layers:
            if layer.digest != layer.diff_id:
                await self._update(order, layer.digest, UNCOMPRESSED, layer.diff_id)

    async def _update(self, order: Order, digest: str, label: str, value: str) -> None:
        update = content.Update(digest=digest, labels={label: value}, mask=[f"labels.{label}"])
        self._number += 1
        await self._worker.call(
            "content.update",
            update,
            content.Info,
            namespace=order.namespace,
            key=f"{PREFIX}{self._token}-{self._number}/label",
        )

    # -- keys --------------------------------------------------------------------------------------------------------

    def _key(self, chain_id: str) -> str:
        self._number += 1
        return f"{PREFIX}{self._token}-{self._number} {chain_id}"

    async def _remove(self, run: _Run, key: str) -> None:
        """Remove a snapshot in the making. Idempotent."""
        remove = snapshots.Remove(key=key, snapshotter=run.order.snapshotter)
        with contextlib.suppress(NotFound):
            await self._worker.call(
                "snapshots.remove",
                remove,
                Empty,
                namespace=run.order.namespace,
                key=f"{key}/remove",
                timeout_s=None,
            )
        run.keys.discard(key)

    async def _remove_all(self, run: _Run) -> None:
        """Remove every key of a run that was not committed, also when the caller does not wait for it."""

        async def work() -> None:
            for key in sorted(run.keys):
                await self._remove(run, key)

        if run.keys:
            await asyncio.shield(self._worker.spawn(work()))


def _parent(run: _Run, number: int) -> str:
    """The snapshot of the layers below one; empty for the lowest."""
    return run.chain_ids[number - 1] if number else ""


def _other_diff_id(layer: Layer, found: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"layer '{layer.digest}' unpacks to diff id '{found}', its image's configuration says '{layer.diff_id}';"
        " the image is broken",
        details={"reason": "diff_id", "digest": layer.digest, "diff_id": found},
    )
