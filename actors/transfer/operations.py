"""One piece of work that several requests may follow.

A stream may be asked for again with the same key: the router died, or a client resumes. The second copy joins the work
instead of beginning it twice. Work that nobody follows any more is cancelled.

Progress is kept as the latest item for each event and name, so a reader that is slow sees fewer items and slows
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from actors.call import Call, Result
from wharfie.types.transfer import Progress

Report = Callable[[Progress], None]
Work = Callable[[Report], Awaitable[msgspec.Struct]]


class _Follower:
    """What one request has not been told yet."""

    def __init__(self) -> None:
        self.pending: dict[tuple[str, str], Progress] = {}
        self.wake = asyncio.Event()

    def tell(self, progress: Progress) -> None:
        self.pending[progress.event, progress.name] = progress
        self.wake.set()


class _Operation:
    """Work under way, and who follows it."""

    def __init__(self, work: Work) -> None:
        self.followers: list[_Follower] = []
        self.task: asyncio.Task[msgspec.Struct] = asyncio.get_running_loop().create_task(_coroutine(work, self._report))
        self.task.add_done_callback(self._ended)

    def _ended(self, _task: asyncio.Task[msgspec.Struct]) -> None:
        for follower in self.followers:
            follower.wake.set()

    def _report(self, progress: Progress) -> None:
        for follower in self.followers:
            follower.tell(progress)


class Operations:
    """The work of all requests, by key."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str, str], _Operation] = {}

    async def follow(self, call: Call, work: Work) -> AsyncIterator[Progress | Result]:
        """Begin `work`, or join the request of the same key that has begun it; yields its progress, then its result.

        Raises:
            WharfieError: what the work raised.
        """
        name = (call.namespace, call.method, call.key)
        operation = self._running.get(name) if call.key else None
        if operation is None or operation.task.done():
            operation = _Operation(work)
            if call.key:
                self._running[name] = operation
        follower = _Follower()
        operation.followers.append(follower)
        try:
            while not operation.task.done() or follower.pending:
                await follower.wake.wait()
                while follower.pending:
                    yield follower.pending.pop(next(iter(follower.pending)))
                if not operation.task.done():
                    follower.wake.clear()
            yield Result(await operation.task)
        finally:
            operation.followers.remove(follower)
            if not operation.followers:
                if self._running.get(name) is operation:
                    del self._running[name]
                await _ended(operation.task)


async def _coroutine(work: Work, report: Report) -> msgspec.Struct:
    return await work(report)


async def _ended(task: asyncio.Task[msgspec.Struct]) -> None:
    """Cancel work that goes on and wait for its end; how it ended is of no interest here."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
