"""What is done for all snapshots of a snapshotter at once: cleaning up, collecting garbage, finding what is lost."""

from __future__ import annotations

import asyncio
import logging

from actors import internal
from actors.call import Call, handles
from actors.snapshot.backend import Backend
from actors.snapshot.losses import Losses
from actors.snapshot.names import Names
from actors.snapshot.snapshotters import Snapshotters
from actors.snapshot.sweeper import Sweeper
from actors.worker import Worker
from wharfie import failpoint
from wharfie.types import snapshots
from wharfie.types.base import Empty

log = logging.getLogger("snapshot")


class Housekeeping:
    """Handlers of the snapshot worker, and what it does at its start and its end.

    Attributes:
        losses: what has a name and no directory.
        looked: set when that is known.
        born_before: of each snapshotter the highest number that was given before this process began; a snapshotter is
            missing while that is not known.
    """

    def __init__(self, worker: Worker, *, snapshotters: Snapshotters, names: Names, sweeper: Sweeper) -> None:
        self._worker = worker
        self._snapshotters = snapshotters
        self._names = names
        self._sweeper = sweeper
        self.looked = asyncio.Event()
        self.losses = Losses()
        self.born_before: dict[str, int] = {}
        worker.on_stop(self._close)

    @handles("snapshots.cleanup")
    async def cleanup(self, call: Call, request: snapshots.Cleanup) -> snapshots.Cleaned:
        """Remove directories that no name knows, in whatever namespace, and free their space before answering."""
        backend = self._snapshotters.get(request.snapshotter)
        removed = await self._cleanup(backend, call.remaining_s())
        await self._sweeper.sweep(backend)
        return snapshots.Cleaned(removed=removed)

    @handles("snapshot.collect")
    async def collect(self, call: Call, request: internal.SnapshotCollect) -> internal.SnapshotCollected:
        """See `internal.SnapshotCollect`; of a snapshotter that does not work here nothing is deleted."""
        backend = self._snapshotters.find(request.snapshotter)
        if backend is None:
            return internal.SnapshotCollected()
        if request.dry:
            numbers = await self._names.numbers(backend, call.remaining_s())
            known = frozenset(numbers.numbers)
            found = await self._worker.blocking(backend.numbers)
            return internal.SnapshotCollected(
                numbers=[number for number in found if number <= numbers.highest and number not in known]
            )
        removed = await self._cleanup(backend, call.remaining_s())
        failpoint.hit("snapshot.collect.put-away")
        await self._sweeper.sweep(backend)
        return internal.SnapshotCollected(removed=removed)

    @handles("snapshot.lost")
    async def lost(self, call: Call, request: internal.SnapshotLost) -> internal.Lost:
        """See `internal.SnapshotLost`; waits until it is known."""
        await self.looked.wait()
        if not self.losses:
            return internal.Lost(keys=[])
        backend = self._snapshotters.get(request.snapshotter)
        rows = [await self._names.find(call, key, backend.name) for key in request.keys]
        return internal.Lost(keys=[row.info.name for row in rows if row and self.losses.has(backend, row.number)])

    @handles("snapshot.ping")
    def ping(self, call: Call, request: Empty) -> Empty:
        """The loop turns."""
        del call
        return request

    async def heal(self) -> None:
        """Find what crashes of earlier incarnations took, put away what they left, and free its space.

        Runs beside the requests.
        """
        try:
            for backend in self._snapshotters:
                await self.look(backend)
        finally:
            self.looked.set()
        for backend in self._snapshotters:
            removed = await self._cleanup(backend, None)
            if removed:
                log.info("removed %d directories of snapshotter '%s' that no snapshot names", removed, backend.name)
            await self._sweeper.sweep(backend)

    async def look(self, backend: Backend) -> None:
        """Find what has lost its directory."""
        numbers = await self._names.numbers(backend, None)
        self.born_before.setdefault(backend.name, numbers.highest)
        await self._worker.blocking(self.losses.look, backend, numbers)

    async def _cleanup(self, backend: Backend, timeout_s: float | None) -> int:
        numbers = await self._names.numbers(backend, timeout_s)
        return await self._worker.blocking(backend.cleanup, frozenset(numbers.numbers), numbers.highest)

    async def _close(self) -> None:
        for backend in self._snapshotters:
            await self._worker.blocking(backend.close)
