"""`content.check`: whether the bytes of blobs are what their digests say.

Reads past the page cache where that is possible: what is asked is what the disk holds. Nothing is changed, but for the
bytes of damaged blobs when that was asked for: they are deleted under the digest's lock, and only if the file is still
the one that was read. The name stays, so whoever needs the blob sees that it is damaged, and storing it again
(`content.write`, `content.put`, a pull) puts good bytes in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from actors.call import Call, handles
from actors.content import members
from actors.content.locks import Digests
from actors.content.store import BlobStore
from actors.worker import Worker
from wharfie.types import content, images
from wharfie.types.content import Checked, State

log = logging.getLogger("content")

AT_ONCE = 2
"""Blobs that are hashed at the same time; the thread pool has room for others beside them."""

_READ_BYTES = 256 * 1024
_TIMEOUT_S = 60.0


class Finding(NamedTuple):
    """What one blob was found to be; `file` is what was read."""

    state: State
    size: int = -1
    file: os.stat_result | None = None


class CheckService:
    """The handler of `content.check`."""

    def __init__(self, worker: Worker, *, store: BlobStore, digests: Digests) -> None:
        self._worker = worker
        self._store = store
        self._digests = digests

    @handles("content.check")
    async def check(self, call: Call, request: content.Check) -> AsyncIterator[Checked]:
        """Hash the blobs of the namespace, or those of an image, and tell of each what it is.

        Raises:
            NotFound: no such image.
        """
        sizes = await self._sizes(call, request.image)
        digests = sorted(digest for digest in sizes if digest > request.after)
        total = sum(sizes[digest] for digest in digests)
        done = 0
        running: deque[tuple[str, asyncio.Future[Finding]]] = deque()
        waiting = iter(digests)
        try:
            while True:
                self._begin(waiting, running, sizes)
                if not running:
                    return
                digest, work = running[0]
                finding = await work
                running.popleft()
                removed = request.remove_damaged and await self._remove(digest, finding)
                done += sizes[digest]
                yield Checked(
                    digest=digest,
                    state=finding.state,
                    size=sizes[digest],
                    found=finding.size,
                    removed=removed,
                    done=done,
                    total=total,
                )
        finally:
            for _, work in running:
                work.cancel()

    def _begin(
        self, waiting: Iterator[str], running: deque[tuple[str, asyncio.Future[Finding]]], sizes: dict[str, int]
    ) -> None:
        """Have as many of those that wait hashed as may be at once."""
        for digest in waiting:
            work = asyncio.ensure_future(self._worker.blocking(examine, self._store, digest, sizes[digest]))
            running.append((digest, work))
            if len(running) >= AT_ONCE:
                return

    async def _sizes(self, call: Call, image: str) -> dict[str, int]:
        """What is to be checked: digest to size."""
        listing = await self._worker.call(
            "content.list", content.List(), content.Listing, namespace=call.namespace, timeout_s=_TIMEOUT_S
        )
        named = {blob.digest: blob.size for blob in listing.blobs}
        if not image:
            return named
        found = await self._worker.call("images.get", images.Get(name=image), images.Image, namespace=call.namespace)
        return await self._worker.blocking(members.sizes, self._store, named, found.target)

    async def _remove(self, digest: str, finding: Finding) -> bool:
        if finding.state not in (State.DAMAGED, State.WRONG_SIZE) or finding.file is None:
            return False
        async with self._digests.alone(digest):
            removed = self._store.unlink_file(digest, finding.file)
        log.warning("damaged blob %s: %s", digest, "its bytes were removed" if removed else "replaced meanwhile")
        return removed


def examine(store: BlobStore, digest: str, size: int) -> Finding:
    """Read a blob and compare it with its digest and its size. Blocks."""
    try:
        fd = store.open(digest)
    except FileNotFoundError:
        return Finding(State.MISSING)
    except OSError as error:
        log.warning("blob %s cannot be opened: %s", digest, error)
        if error.errno == errno.ELOOP:
            return Finding(State.DAMAGED, file=os.lstat(store.path(digest)))
        return Finding(State.UNREADABLE)
    try:
        file = os.fstat(fd)
        if not stat.S_ISREG(file.st_mode):
            return Finding(State.MISSING)  # what lies in its place is not ours
        if file.st_size != size:
            return Finding(State.WRONG_SIZE, file.st_size, file)
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        state = State.OK if _digest(fd, digest.partition(":")[0]) == digest else State.DAMAGED
        return Finding(state, file.st_size, file)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        log.warning("blob %s cannot be read: %s", digest, error)
        return Finding(State.UNREADABLE, file.st_size, file)
    finally:
        os.close(fd)


def _digest(fd: int, algorithm: str) -> str:
    state = hashlib.new(algorithm)
    buffer = memoryview(bytearray(_READ_BYTES))
    while count := os.readv(fd, [buffer]):
        state.update(buffer[:count])
    return f"{algorithm}:{state.hexdigest()}"
