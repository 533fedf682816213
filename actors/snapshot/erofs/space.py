"""Who gets which bytes of an image: whole blocks for data, slots in blocks of their own kind for inodes. Pure.

The same calls in the same order give the same places, so what has to be known before it can be written is found by a
trial on a copy.
"""

from __future__ import annotations

import errno
import os

from actors.snapshot.erofs.layout import BLOCK_BYTES, MAX_BLOCKS, SLOT_BYTES

MAX_EXTENT_BLOCKS = 16
"""Blocks for inodes are taken up to this many at once, so that data in between stays in long runs."""


class Space:
    """The allocator. Block 0 is taken from the beginning."""

    __slots__ = ("_at", "_end", "_extent_blocks", "blocks")

    def __init__(self) -> None:
        self.blocks = 1
        """How many are taken."""
        self._at = 0
        self._end = 0
        self._extent_blocks = 1

    def copy(self) -> Space:
        """Another one in the same state."""
        copy = Space()
        copy.blocks, copy._at, copy._end, copy._extent_blocks = self.blocks, self._at, self._end, self._extent_blocks
        return copy

    def data(self, size: int) -> int:
        """Take blocks for so many bytes, one after the other, and return the number of the first.

        Raises:
            OSError: EFBIG when block numbers run out, at 16 TiB.
        """
        block = self.blocks
        blocks = block + -(-size // BLOCK_BYTES)
        if blocks >= MAX_BLOCKS:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self.blocks = blocks
        return block

    def record(self, size: int) -> int:
        """Take a place for an inode with what follows it: its offset in the image, in one block if it fits one."""
        if size > BLOCK_BYTES:
            return self.data(size) * BLOCK_BYTES
        offset = -(-self._at // SLOT_BYTES) * SLOT_BYTES
        if offset % BLOCK_BYTES + size > BLOCK_BYTES:
            offset = -(-offset // BLOCK_BYTES) * BLOCK_BYTES
        if offset + size > self._end:
            extent = self._extent_blocks * BLOCK_BYTES
            offset = self.data(extent) * BLOCK_BYTES
            self._end = offset + extent
            self._extent_blocks = min(self._extent_blocks * 2, MAX_EXTENT_BLOCKS)
        self._at = offset + size
        return offset

    @property
    def extent_end(self) -> int:
        """Where the blocks end that the last record lies in, unless it had its own."""
        return self._end
