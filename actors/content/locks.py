"""Who may work on a ref and on a digest at the moment. Belongs to the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from wharfie.errors import Unavailable


class Slot:
    """A ref's turn-taking: first come, first served.

    Writes of one client may come in a row without waiting for one another; each must go where the one before it will
    have ended. Any other write that comes meanwhile is a second writer's, and refused.
    """

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._lock = asyncio.Lock()
        self._users = 0
        self._end = 0

    @property
    def is_busy(self) -> bool:
        """Somebody works on it or waits to."""
        return self._users > 0

    def admit(self, *, offset: int, length: int, repeated: bool) -> None:
        """Let a write in line; it then has to take its turn, with `admitted=True`.

        Raises:
            Unavailable: another writer is at work.
        """
        if self._users and offset != self._end and not repeated:
            raise Unavailable(
                f"ref '{self._ref}' is being written to by another writer; try again or take another ref",
                details={"reason": "locked"},
                retryable=True,
            )
        self._end = offset + length
        self._users += 1

    @contextlib.asynccontextmanager
    async def turn(self, *, admitted: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn and keep it."""
        self._users += not admitted
        try:
            async with self._lock:
                yield
        finally:
            self._users -= 1


class Slots:
    """The slots of refs that somebody works on."""

    def __init__(self) -> None:
        self._slots: WeakValueDictionary[tuple[str, str], Slot] = WeakValueDictionary()

    def of(self, namespace: str, ref: str) -> Slot:
        """The slot of a ref."""
        return self._slots.setdefault((namespace, ref), Slot(ref))

    def is_busy(self, name: tuple[str, str]) -> bool:
        """Whether somebody works on a ref (namespace, ref)."""
        slot = self._slots.get(name)
        return slot is not None and slot.is_busy


class Digests:
    """One lock per digest: commits and deletions of one digest never overlap."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def is_free(self, digest: str) -> bool:
        """Nobody works on a digest, so what is done before the loop's next turn is done alone."""
        lock = self._locks.get(digest)
        return lock is None or not lock.locked()

    @contextlib.asynccontextmanager
    async def alone(self, digest: str) -> AsyncIterator[None]:
        """Nobody else commits or deletes this digest meanwhile."""
        lock = self._locks.setdefault(digest, asyncio.Lock())
        async with lock:
            yield
