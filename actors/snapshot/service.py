"""The methods of the wire that make, mount, measure and remove snapshots.

The order is always: the name first (in metadata, which takes these requests, gives the number, keeps the answer under
the request's key and passes the request on to here), then the directory on the way in; and on the way out the name
first again, then the directory. Only a commit comes here first, to be measured. So a name without a
directory is possible for the length of a crash, and healed by whoever asks for its mounts; a directory without a name
is possible too, and put away by `cleanup`, which also runs at every start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any
from weakref import WeakValueDictionary

from actors import internal
from actors.call import Call, Pass, handles
from actors.snapshot.backend import Backend
from actors.snapshot.sweeper import Sweeper
from actors.worker import Worker
from wharfie import failpoint
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from wharfie.types import snapshots
from wharfie.types.base import Empty
from wharfie.types.snapshots import Kind, Mounts, Usage

log = logging.getLogger("snapshot")

_REMEMBERED = 1024
"""Keys of failed attempts that are remembered in case they are tried again, and rows of active snapshots."""

Place = tuple[str, str, str]
"""Namespace, snapshotter and key."""


class SnapshotService:
    """Handlers of the snapshot worker.

    Args:
        backends: the snapshotters that work here, by name.
        skipped: those that do not, with the reason.
        default: which one a request that names none gets.
    """

    # `_rows` spares a commit the question for the number of a snapshot that was prepared by this process. It may be out
    # of date when somebody else than this worker removes names: metadata then refuses the commit.
    #
    # A prepare that fails takes the name back that metadata gave it. When it is tried again under the same key,
    # metadata repeats its first answer: a number that no name knows any more. `_taken_back` has the keys of such
    # failures in this process; of earlier ones `_born_before` tells, the highest number given before it began.

    def __init__(
        self, worker: Worker, *, backends: Mapping[str, Backend], skipped: Mapping[str, str], default: str
    ) -> None:
        self._worker = worker
        self._backends = backends
        self._skipped = skipped
        self._default = default
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._sweeper = Sweeper(worker)
        worker.on_stop(self._close)
        self._rows: dict[Place, internal.SnapshotRow] = {}
        self._taken_back: dict[str, None] = {}
        self._born_before: dict[str, int] = {}

    # -- handlers ----------------------------------------------------------------------------------------------------

    @handles("snapshot.make")
    def make(self, call: Call, request: internal.SnapshotRow) -> Mounts | Coroutine[Any, Any, Mounts]:
        """The directory of a snapshot named just now. Idempotent; a failure leaves neither directory nor name."""
        backend = self._backends.get(request.info.snapshotter)
        if backend is None or backend.copies or self._may_be_taken_back(call, request):
            return self._make_carefully(call, request)
        failpoint.hit("snapshot.prepare.named")
        try:
            backend.prepare(request.number, request.parents, request.info.kind)
        except Exception as error:
            return self._give_up(call, request, error)
        return self._made(call, request, backend)

    @handles("snapshot.show")
    async def show(self, call: Call, request: internal.SnapshotRow) -> Mounts:
        """What prepare or view answered. Makes the directory when a crash kept prepare from it."""
        del call
        backend = self._backend(request.info.snapshotter)
        await self._make(backend, request)
        return _mounts(backend, request)

    @handles("snapshot.measure")
    async def measure(self, call: Call, request: internal.SnapshotRow) -> Usage:
        """The usage of a snapshot that is still in use."""
        del call
        backend = self._backend(request.info.snapshotter)
        return await self._worker.blocking(backend.usage, request.number)

    @handles("snapshots.commit")
    async def commit(self, call: Call, request: snapshots.Commit) -> Pass:
        """Measure and flush; metadata then gives it its name. Idempotent under its key."""
        backend = self._backend(request.snapshotter)
        usage = await self._measure(call, request, backend)
        failpoint.hit("snapshot.commit.measured")
        commit = internal.SnapshotCommit(
            name=request.name,
            key=request.key,
            snapshotter=backend.name,
            size=usage.size,
            inodes=usage.inodes,
            labels=request.labels,
            parent=request.parent,
        )
        return Pass("metadata.snapshot_commit", commit)

    @handles("snapshot.put_away")
    def put_away(self, call: Call, request: internal.SnapshotRow) -> Empty | Coroutine[Any, Any, Empty]:
        """The directory of a snapshot without a name goes out of sight; its space is freed in the background."""
        failpoint.hit("snapshot.remove.unnamed")
        backend = self._backend(request.info.snapshotter)
        self._rows.pop(_place(call, backend, request.info.name), None)
        if (backend.name, request.number) in self._locks:
            return self._put_away(backend, request.number)
        backend.remove(request.number)
        self._sweeper.wake(backend)
        failpoint.hit("snapshot.remove.renamed")
        return Empty()

    @handles("snapshots.cleanup")
    async def cleanup(self, call: Call, request: snapshots.Cleanup) -> snapshots.Cleaned:
        """Remove directories that no name knows, in whatever namespace, and free their space before answering."""
        backend = self._backend(request.snapshotter)
        removed = await self._cleanup(backend, call.remaining_s())
        await self._sweeper.sweep(backend)
        return snapshots.Cleaned(removed=removed)

    @handles("snapshot.collect")
    async def collect(self, call: Call, request: internal.SnapshotCollect) -> internal.SnapshotCollected:
        """See `internal.SnapshotCollect`; of a snapshotter that does not work here nothing is deleted."""
        backend = self._backends.get(request.snapshotter)
        if backend is None:
            return internal.SnapshotCollected()
        if request.dry:
            numbers = await self._numbers(backend, call.remaining_s())
            known = frozenset(numbers.numbers)
            found = await self._worker.blocking(backend.numbers)
            return internal.SnapshotCollected(
                numbers=[number for number in found if number <= numbers.highest and number not in known]
            )
        removed = await self._cleanup(backend, call.remaining_s())
        failpoint.hit("snapshot.collect.put-away")
        await self._sweeper.sweep(backend)
        return internal.SnapshotCollected(removed=removed)

    @handles("snapshot.ping")
    def ping(self, call: Call, request: Empty) -> Empty:
        """The loop turns."""
        del call
        return request

    # -- at start ----------------------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Put away what crashes of earlier incarnations left, and free its space. Runs beside the requests."""
        for backend in self._backends.values():
            removed = await self._cleanup(backend, None)
            if removed:
                log.info("removed %d directories of snapshotter '%s' that no snapshot names", removed, backend.name)
            await self._sweeper.sweep(backend)

    async def _close(self) -> None:
        for backend in self._backends.values():
            await self._worker.blocking(backend.close)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _backend(self, name: str) -> Backend:
        name = name or self._default
        backend = self._backends.get(name)
        if backend is None:
            reason = self._skipped.get(name)
            said = f"does not work here: {reason}" if reason else f"is unknown; there are {', '.join(self._backends)}"
            raise InvalidArgument(f"snapshotter '{name}' {said}", details={"field": "snapshotter"})
        return backend

    async def _find(self, call: Call, key: str, snapshotter: str) -> internal.SnapshotRow | None:
        try:
            return await self._worker.call(
                "metadata.snapshot_get",
                internal.SnapshotGet(key=key, snapshotter=snapshotter),
                internal.SnapshotRow,
                namespace=call.namespace,
                timeout_s=call.remaining_s(),
            )
        except NotFound:
            return None

    async def _measure(self, call: Call, request: snapshots.Commit, backend: Backend) -> Usage:
        """Flush and measure an active snapshot; nothing when there is none, which is for metadata to say."""
        row = self._rows.pop(_place(call, backend, request.key), None)
        if row is not None:
            _check_rebase(backend, row, request)
            with contextlib.suppress(FileNotFoundError):
                return await self._worker.blocking(backend.commit, row.number)
        # Without a row the call may be a repeated one, and metadata knows its answer.
        row = await self._find(call, request.key, backend.name)
        if row is None or row.info.kind is not Kind.ACTIVE:
            return Usage(size=0, inodes=0)
        _check_rebase(backend, row, request)
        await self._make(backend, row)
        return await self._worker.blocking(backend.commit, row.number)

    async def _make_carefully(self, call: Call, row: internal.SnapshotRow) -> Mounts:
        """The same where it takes long, where the row may be out of date, or where its snapshotter does not work."""
        create = internal.SnapshotCreate(
            key=row.info.name,
            kind=row.info.kind,
            parent=row.info.parent,
            snapshotter=row.info.snapshotter,
            labels=row.info.labels,
        )
        while self._may_be_taken_back(call, row) and not await self._is_named(call, row):
            # An earlier attempt could not make the directory and took the name back; its stored answer is void.
            row = await self._name(call, create, step=f"create-after-{row.number}")
        failpoint.hit("snapshot.prepare.named")
        try:
            backend = self._backend(row.info.snapshotter)
            await self._make(backend, row)
        except Exception as error:
            return await self._give_up(call, row, error)
        return self._made(call, row, backend)

    def _made(self, call: Call, row: internal.SnapshotRow, backend: Backend) -> Mounts:
        failpoint.hit("snapshot.prepare.made")
        if row.info.kind is Kind.ACTIVE:
            self._rows[_place(call, backend, row.info.name)] = row
            if len(self._rows) > _REMEMBERED:
                del self._rows[next(iter(self._rows))]
        return _mounts(backend, row)

    async def _give_up(self, call: Call, row: internal.SnapshotRow, error: Exception) -> Mounts:
        await self._take_back(call, row)
        raise error

    async def _name(self, call: Call, create: internal.SnapshotCreate, *, step: str) -> internal.SnapshotRow:
        return await self._worker.call(
            "metadata.snapshot_create",
            create,
            internal.SnapshotRow,
            namespace=call.namespace,
            key=call.derive(step),
            lease=call.lease,
            timeout_s=call.remaining_s(),
        )

    def _may_be_taken_back(self, call: Call, row: internal.SnapshotRow) -> bool:
        """Whether the row may be a stored answer of an attempt that failed, and not made just now."""
        born_before = self._born_before.get(row.info.snapshotter)
        return call.attempt > 1 or call.key in self._taken_back or born_before is None or row.number <= born_before

    async def _is_named(self, call: Call, row: internal.SnapshotRow) -> bool:
        found = await self._find(call, row.info.name, row.info.snapshotter)
        return found is not None and found.number == row.number

    async def _take_back(self, call: Call, row: internal.SnapshotRow) -> None:
        """Remove the name of a snapshot whose directory could not be made."""
        if call.key:
            self._taken_back[call.key] = None
        if len(self._taken_back) > _REMEMBERED:
            del self._taken_back[next(iter(self._taken_back))]
        try:
            await self._worker.call(
                "metadata.snapshot_remove",
                internal.SnapshotRemove(key=row.info.name, snapshotter=row.info.snapshotter),
                internal.SnapshotRow,
                namespace=call.namespace,
                key=call.derive(f"take-back-{row.number}"),
            )
        except Exception as error:
            log.warning("snapshot '%s' cannot be made, and its name not be taken back: %s", row.info.name, error)
        else:
            if backend := self._backends.get(row.info.snapshotter):
                await self._put_away(backend, row.number)
        failpoint.hit("snapshot.prepare.taken-back")

    async def _make(self, backend: Backend, row: internal.SnapshotRow) -> None:
        """The directory of an active snapshot or a view, if it is not there yet."""
        if row.info.kind is Kind.COMMITTED:
            return
        if not backend.copies:
            backend.prepare(row.number, row.parents, row.info.kind)
            return
        async with self._alone(backend, row.number):
            await self._worker.blocking(backend.prepare, row.number, row.parents, row.info.kind)

    @contextlib.asynccontextmanager
    async def _alone(self, backend: Backend, number: int) -> AsyncIterator[None]:
        """Nobody else works on this number meanwhile."""
        lock = self._locks.setdefault((backend.name, number), asyncio.Lock())
        async with lock:
            yield

    async def _put_away(self, backend: Backend, number: int) -> Empty:
        async with self._alone(backend, number):
            backend.remove(number)
        self._sweeper.wake(backend)
        return Empty()

    async def _numbers(self, backend: Backend, timeout_s: float | None) -> internal.Numbers:
        return await self._worker.call(
            "metadata.snapshot_numbers",
            internal.SnapshotNumbers(snapshotter=backend.name),
            internal.Numbers,
            timeout_s=timeout_s,
        )

    async def _cleanup(self, backend: Backend, timeout_s: float | None) -> int:
        numbers = await self._numbers(backend, timeout_s)
        self._born_before.setdefault(backend.name, numbers.highest)
        return await self._worker.blocking(backend.cleanup, frozenset(numbers.numbers), numbers.highest)


def _check_rebase(backend: Backend, row: internal.SnapshotRow, request: snapshots.Commit) -> None:
    if request.parent and not row.info.parent and not backend.rebases:
        raise Unimplemented(
            f"snapshotter '{backend.name}' cannot put snapshot '{request.key}' on a parent at its commit; "
            "prepare it on that parent"
        )


def _place(call: Call, backend: Backend, key: str) -> Place:
    return (call.namespace, backend.name, key)


def _mounts(backend: Backend, row: internal.SnapshotRow) -> Mounts:
    if row.info.kind is Kind.COMMITTED:
        raise FailedPrecondition(
            f"snapshot '{row.info.name}' is committed and cannot be mounted; prepare a snapshot or view on it"
        )
    return Mounts(mounts=backend.mounts(row.number, row.parents, row.info.kind))
