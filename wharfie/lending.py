"""A file in memory with room for a few pieces of bytes, which a daemon on the same machine reads instead of a payload.

Linux only, and only where `memfd_create` is there; whoever uses it has another way when it cannot be made.
"""

from __future__ import annotations

import mmap
import os

from wharfie.types.content import Lent


class Memory:
    """Room for `count` pieces of at most `piece_bytes`, used in turn. Close it.

    Args:
        piece_bytes: of one piece.
        count: pieces that are lent at the same time.

    Raises:
        OSError: there can be no such file.
    """

    def __init__(self, *, piece_bytes: int, count: int) -> None:
        self._piece_bytes = piece_bytes
        self._count = count
        self._next = 0
        self._fd = os.memfd_create("wharfie-lent", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._fd, piece_bytes * count)
            self._map = mmap.mmap(self._fd, piece_bytes * count)
        except BaseException:
            os.close(self._fd)
            raise
        self._inode = os.fstat(self._fd).st_ino

    def put(self, data: bytes | memoryview) -> Lent:
        """Copy a piece; it stays until `count` more were put."""
        offset = self._next * self._piece_bytes
        self._next = (self._next + 1) % self._count
        self._map[offset : offset + len(data)] = data
        return Lent(fd=self._fd, inode=self._inode, offset=offset, size=len(data))

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            self._map.close()
            os.close(self._fd)
            self._fd = -1
