"""Freeing the space of removed snapshots, in the background and one tree at a time per snapshotter.

Deleting many files takes long and nobody waits for it: a removed snapshot is out of sight by a rename, and what a
crash leaves behind is found again by the next start. It begins a moment later, so that it does not compete with the
answer to the one who removed, and several removals become one sweep.
"""

from __future__ import annotations

import asyncio

from actors.snapshot.backend import Backend
from actors.worker import Worker

DELAY_S = 0.05


class Sweeper:
    """Runs `Backend.sweep`, never twice at once for one back-end."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        worker.on_stop(self._stop)

    def wake(self, backend: Backend) -> None:
        """Sweep soon; what is put away until it begins is swept with it."""
        if backend.name not in self._waiting:
            self._waiting[backend.name] = self._worker.spawn(self._sweep_soon(backend))

    async def _sweep_soon(self, backend: Backend) -> None:
        await asyncio.sleep(DELAY_S)
        await self.sweep(backend)

    async def sweep(self, backend: Backend) -> None:
        """Sweep, and return when all that was put away before this call is gone."""
        async with self._locks.setdefault(backend.name, asyncio.Lock()):
            self._waiting.pop(backend.name, None)
            await self._worker.blocking(backend.sweep)

    async def _stop(self) -> None:
        for task in self._waiting.values():
            task.cancel()
