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
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from weakref import WeakValueDictionary

from actors import internal
from actors.call import Call, Pass, handles
from actors.snapshot import idmaps
from actors.snapshot.backend import Backend
from actors.snapshot.housekeeping import Housekeeping
from actors.snapshot.idmaps import GID_LABEL, UID_LABEL, IdMaps
from actors.snapshot.names import Names
from actors.snapshot.snapshotters import Snapshotters
from actors.snapshot.sweeper import Sweeper
from actors.worker import Worker
from wharfie import failpoint
from wharfie.errors import DataLoss, FailedPrecondition, Unimplemented
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
        sync_remove: a removal is answered when the space is free.
    """

    # `_rows` spares a commit the question for the number of a snapshot that was prepared by this process. It may be out
    # of date when somebody else than this worker removes names: metadata then refuses the commit.
    #
    # A prepare that fails takes the name back that metadata gave it. When it is tried again under the same key,
    # metadata repeats its first answer: a number that no name knows any more. `_taken_back` has the keys of such
    # failures in this process; of earlier ones the housekeeping tells, by the highest number given before it began.

    def __init__(
        self,
        worker: Worker,
        *,
        snapshotters: Snapshotters,
        names: Names,
        sweeper: Sweeper,
        housekeeping: Housekeeping,
        sync_remove: bool = False,
    ) -> None:
        self._worker = worker
        self._snapshotters = snapshotters
        self._names = names
        self._sweeper = sweeper
        self._housekeeping = housekeeping
        self._losses = housekeeping.losses
        self._sync_remove = sync_remove
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._rows: dict[Place, internal.SnapshotRow] = {}
        self._taken_back: dict[str, None] = {}

    # -- handlers ----------------------------------------------------------------------------------------------------

    @handles("snapshot.make")
    def make(self, call: Call, request: internal.SnapshotRow) -> Mounts | Coroutine[Any, Any, Mounts]:
        """The directory of a snapshot named just now. Idempotent; a failure leaves neither directory nor name."""
        backend = self._snapshotters.find(request.info.snapshotter)
        if backend is None or not self._is_quick(backend, request) or self._may_be_taken_back(call, request):
            return self._make_carefully(call, request)
        failpoint.hit("snapshot.prepare.named")
        try:
            backend.prepare(request.number, request.parents, request.info.kind)
        except Exception as error:
            return self._give_up(call, request, error)
        return self._made(call, request, backend)

    @handles("snapshot.show")
    def show(self, call: Call, request: internal.SnapshotRow) -> Mounts | Coroutine[Any, Any, Mounts]:
        """What prepare or view answered. Makes the directory when a crash kept prepare from it."""
        del call
        backend = self._snapshotters.get(request.info.snapshotter)
        if not self._is_quick(backend, request):
            return self._show(backend, request)
        if request.info.kind is not Kind.COMMITTED:
            backend.prepare(request.number, request.parents, request.info.kind)
        return _mounts(backend, request)

    @handles("snapshot.measure")
    async def measure(self, call: Call, request: internal.SnapshotRow) -> Usage:
        """The usage of a snapshot that is still in use."""
        del call
        backend = self._snapshotters.get(request.info.snapshotter)
        return await self._worker.blocking(backend.usage, request.number)

    @handles("snapshots.commit")
    async def commit(self, call: Call, request: snapshots.Commit) -> Pass | Empty:
        """Flush and measure; metadata then gives it its name. Idempotent under its key.

        When the name is that of a snapshot that lost its directory, on the same parent, it gets this one.
        """
        backend = self._snapshotters.get(request.snapshotter)
        usage = await self._measure(call, request, backend)
        failpoint.hit("snapshot.commit.measured")
        if self._losses and await self._restored(call, request, backend):
            return Empty()
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
        backend = self._snapshotters.get(request.info.snapshotter)
        self._rows.pop(_place(call, backend, request.info.name), None)
        if self._sync_remove or (backend.name, request.number) in self._locks:
            return self._put_away(backend, request.number)
        backend.remove(request.number)
        self._sweeper.wake(backend)
        failpoint.hit("snapshot.remove.renamed")
        return Empty()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _is_quick(self, backend: Backend, row: internal.SnapshotRow) -> bool:
        """Whether a directory is made in the loop: nothing is copied, and nothing is known to be lost."""
        labels = row.info.labels
        return (
            not backend.copies
            and self._housekeeping.looked.is_set()
            and not self._losses
            and UID_LABEL not in labels
            and GID_LABEL not in labels
        )

    async def _show(self, backend: Backend, row: internal.SnapshotRow) -> Mounts:
        await self._make(backend, row)
        return _mounts(backend, row)

    async def _measure(self, call: Call, request: snapshots.Commit, backend: Backend) -> Usage:
        """Flush and measure an active snapshot; nothing when there is none, which is for metadata to say."""
        row = self._rows.pop(_place(call, backend, request.key), None)
        if row is not None:
            _check_rebase(backend, row, request)
            with contextlib.suppress(FileNotFoundError):
                usage = backend.commit_at_once(row.number)
                return usage if usage is not None else await self._worker.blocking(backend.commit, row.number)
        # Without a row the call may be a repeated one, and metadata knows its answer.
        row = await self._names.find(call, request.key, backend.name)
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
            row = await self._names.create(call, create, step=f"create-after-{row.number}")
        failpoint.hit("snapshot.prepare.named")
        try:
            backend = self._snapshotters.get(row.info.snapshotter)
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
        if isinstance(error, DataLoss) and (backend := self._snapshotters.find(row.info.snapshotter)):
            await self._housekeeping.look(backend)
        raise error

    def _may_be_taken_back(self, call: Call, row: internal.SnapshotRow) -> bool:
        """Whether the row may be a stored answer of an attempt that failed, and not made just now."""
        born_before = self._housekeeping.born_before.get(row.info.snapshotter)
        return call.attempt > 1 or call.key in self._taken_back or born_before is None or row.number <= born_before

    async def _is_named(self, call: Call, row: internal.SnapshotRow) -> bool:
        found = await self._names.find(call, row.info.name, row.info.snapshotter)
        return found is not None and found.number == row.number

    async def _take_back(self, call: Call, row: internal.SnapshotRow) -> None:
        """Remove the name of a snapshot whose directory could not be made."""
        if call.key:
            self._taken_back[call.key] = None
        if len(self._taken_back) > _REMEMBERED:
            del self._taken_back[next(iter(self._taken_back))]
        try:
            await self._names.remove(call, row.info.name, row.info.snapshotter, step=f"take-back-{row.number}")
        except Exception as error:
            log.warning("snapshot '%s' cannot be made, and its name not be taken back: %s", row.info.name, error)
        else:
            if backend := self._snapshotters.find(row.info.snapshotter):
                await self._put_away(backend, row.number)
        failpoint.hit("snapshot.prepare.taken-back")

    async def _make(self, backend: Backend, row: internal.SnapshotRow) -> None:
        """The directory of an active snapshot or a view, if it is not there yet."""
        if row.info.kind is Kind.COMMITTED:
            return
        await self._housekeeping.looked.wait()
        self._losses.check(backend, row)
        ids = _ids_of(backend, row)
        arguments = (row.number, row.parents, row.info.kind, *((ids,) if ids is not None else ()))
        if not backend.copies and ids is None:
            backend.prepare(*arguments)
            return
        async with self._alone(backend, row.number):
            await self._worker.blocking(backend.prepare, *arguments)

    @contextlib.asynccontextmanager
    async def _alone(self, backend: Backend, number: int) -> AsyncIterator[None]:
        """Nobody else works on this number meanwhile."""
        lock = self._locks.setdefault((backend.name, number), asyncio.Lock())
        async with lock:
            yield

    async def _put_away(self, backend: Backend, number: int) -> Empty:
        async with self._alone(backend, number):
            backend.remove(number)
        if self._sync_remove:
            await self._sweeper.sweep(backend)
        else:
            self._sweeper.wake(backend)
        return Empty()

    async def _restored(self, call: Call, request: snapshots.Commit, backend: Backend) -> bool:
        """Whether the commit gave a lost snapshot a directory again."""
        new = await self._names.find(call, request.key, backend.name)
        lost = await self._names.find(call, request.name, backend.name)
        if new is None or lost is None or not self._losses.has(backend, lost.number):
            return False
        if new.info.kind is not Kind.ACTIVE or lost.info.parent != (request.parent or new.info.parent):
            return False
        try:
            async with self._alone(backend, new.number):
                await self._worker.blocking(backend.restore, new.number, lost.number)
        except FileExistsError:
            self._losses.found(backend, lost.number)  # somebody was quicker
            return False
        self._losses.found(backend, lost.number)
        await self._names.remove(call, request.key, backend.name, step="restored")
        return True


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
    ids = _ids_of(backend, row)
    if ids is not None:
        return Mounts(mounts=backend.mounts(row.number, row.parents, row.info.kind, ids))
    return Mounts(mounts=backend.mounts(row.number, row.parents, row.info.kind))


def _ids_of(backend: Backend, row: internal.SnapshotRow) -> IdMaps | None:
    """How the owners of a snapshot's files are mapped; a snapshotter that cannot is not asked to."""
    return idmaps.of(row.info.labels) if row.info.labels and backend.maps_ids else None
