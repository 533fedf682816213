"""Layers on their way, as everybody in this worker sees them: who fetches one, and who unpacks it meanwhile.

There is one `Arrival` for a digest of a namespace, however many pulls want it. Whoever holds its lock fetches; when
that pull ends early, the next one goes on. Those who unpack follow it: they get the file that grows and a counter of
what is there (`unpack/growth.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator

from actors.content.ingests import directory_of
from actors.content.store import blob_path
from actors.transfer.unpack import growth
from wharfie.errors import NotFound


class Following:
    """One reader of an arrival: `fd` has the bytes; `growth_fd` counts them, -1 when all are there."""

    def __init__(self, fd: int, growth_fd: int) -> None:
        self.fd = fd
        self.growth_fd = growth_fd
        self.replaced = asyncio.Event()
        """Set when the bytes are, or come, in another file."""


class Arrival:
    """One blob that is, or may be, on its way.

    Args:
        open_growing: opens the file that it grows in. Raises FileNotFoundError when it is not there any more.
        open_whole: opens the blob.
    """

    def __init__(self, *, open_growing: Callable[[], int], open_whole: Callable[[], int]) -> None:
        self.lock = asyncio.Lock()
        """Whoever fetches it has this."""
        self.count = 0
        """How many bytes are there."""
        self.is_whole = False
        self._open_growing = open_growing
        self._open_whole = open_whole
        self._fd = -1
        self._followers: set[Following] = set()
        self._changed = asyncio.Event()

    def arrived(self, count: int) -> None:
        """So many bytes are there; fewer than before means that it begins anew."""
        if count < self.count:
            self._restart()
        if count and self._fd < 0:
            try:
                self._fd = self._open_growing()
            except FileNotFoundError:
                # Committed already: it is followed when that is known.
                return
        for follower in self._followers:
            os.eventfd_write(follower.growth_fd, count - self.count)
        self.count = count
        self._notify()

    def complete(self, size: int) -> None:
        """The blob is in the content store with all its bytes, and its digest holds. Idempotent.

        It may have come another way: then the file that was followed does not grow any more, and the blob is read
        instead.
        """
        self.is_whole = True
        if self.count < size:
            self._restart()
        self._notify()

    @contextlib.asynccontextmanager
    async def turn(self, tell: Callable[[int], None]) -> AsyncIterator[None]:
        """Have the lock; as long as another one has it, `tell` is told how many bytes it has brought."""
        if self.lock.locked():
            watching = asyncio.ensure_future(self._watch(tell))
            try:
                await self.lock.acquire()
            finally:
                watching.cancel()
        else:
            await self.lock.acquire()
        try:
            yield
        finally:
            self.lock.release()

    async def _watch(self, tell: Callable[[int], None]) -> None:
        while True:
            tell(self.count)
            await self._changed.wait()

    async def whole(self) -> None:
        """Wait until the blob is in the content store."""
        while not self.is_whole:
            await self._changed.wait()

    @contextlib.asynccontextmanager
    async def follow(self) -> AsyncIterator[Following]:
        """Wait for the first bytes, and read along.

        Raises:
            NotFound: it was there, and is gone.
        """
        while self._fd < 0 and not self.is_whole:
            await self._changed.wait()
        with contextlib.ExitStack() as opened:
            fd = os.dup(self._fd) if self._fd >= 0 else self._open_whole()
            opened.callback(os.close, fd)
            if self.is_whole:
                yield Following(fd, -1)
                return
            counter = growth.counter()
            opened.callback(os.close, counter)
            os.eventfd_write(counter, self.count)
            following = Following(fd, counter)
            self._followers.add(following)
            opened.callback(self._followers.discard, following)
            yield following

    async def was_replaced(self, following: Following) -> bool:
        """Whether what went wrong with these bytes may be the fault of the bytes: waits until that is known."""
        while not self.is_whole and not following.replaced.is_set():
            await self._changed.wait()
        return following.replaced.is_set()

    def close(self) -> None:
        """Nobody wants it any more. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _restart(self) -> None:
        self.close()
        self.count = 0
        for follower in self._followers:
            follower.replaced.set()
        self._followers.clear()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Arrivals:
    """The arrivals of one worker.

    Args:
        content_root: of the content worker, whose files are only read here.
    """

    def __init__(self, content_root: str) -> None:
        self._root = content_root
        self._held: dict[tuple[str, str], tuple[Arrival, int]] = {}

    @contextlib.contextmanager
    def hold(self, namespace: str, digest: str) -> Iterator[Arrival]:
        """The arrival of a blob, the same for everybody who holds it at the time."""
        name = (namespace, digest)
        arrival, holders = self._held.get(name) or (self._make(namespace, digest), 0)
        self._held[name] = (arrival, holders + 1)
        try:
            yield arrival
        finally:
            arrival, holders = self._held[name]
            if holders > 1:
                self._held[name] = (arrival, holders - 1)
            else:
                del self._held[name]
                arrival.close()

    def _make(self, namespace: str, digest: str) -> Arrival:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        directory = directory_of(f"{self._root}/ingest", namespace, ref_of(digest))
        blob = blob_path(f"{self._root}/blobs", digest)

        def open_whole() -> int:
            try:
                return os.open(blob, flags)
            except FileNotFoundError:
                raise NotFound(f"blob '{digest}' is gone; pull the image again", details={"digest": digest}) from None

        return Arrival(open_growing=lambda: os.open(f"{directory}/data", flags), open_whole=open_whole)


def ref_of(digest: str) -> str:
    """The ingest that a layer grows in."""
    return f"layer-{digest}"
