"""Writing an image from its beginning to its end: data as it arrives, inodes where there is room, the root last.

What lies in memory is one extent of inodes and what waits to be written with one call; never a file's data as a whole.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

from actors.snapshot.erofs.layout import (
    BLOCK_BYTES,
    INODE_BYTES,
    NLINK_OFFSET,
    ROOT_BYTES,
    SLOT_BYTES,
    Inode,
    Layout,
    first_block,
    pack_placed,
    unpack_inode,
)
from actors.snapshot.erofs.space import Space
from linux.files import copy_range

Buffer = bytes | bytearray | memoryview

_QUEUE_BYTES = 1 << 20
_QUEUE_PIECES = 512
"""The kernel takes 1024 at once."""

_BLOCK_MASK = BLOCK_BYTES - 1


class Data(Protocol):
    """Where the bytes of a file come from, in order."""

    def pieces(self, size: int, image: Image, offset: int) -> None:
        """Give the next `size` bytes to `image.write`, from `offset` of the image on."""

    def tail(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer than a block; they are the last."""


class Image:
    """An image in the making, in an empty file that stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.space = Space()
        self._extent = bytearray()
        self._extent_at = 0
        self._queue: list[Buffer] = []
        self._queue_at = 0
        self._queue_end = 0
        self._serial = 0

    def serial(self) -> int:
        """The number of one more inode."""
        self._serial += 1
        return self._serial & 0xFFFFFFFF

    # -- bytes -------------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: Buffer, size: int) -> None:
        """Write at an offset that was taken from `space`, soon: `data` is kept until then."""
        if offset != self._queue_end or len(self._queue) >= _QUEUE_PIECES or offset - self._queue_at >= _QUEUE_BYTES:
            self._flush_queue()
            self._queue_at = offset
        self._queue.append(data)
        self._queue_end = offset + size

    def copy(self, source: int, start: int, size: int, offset: int) -> None:
        """Copy from an open file to an offset that was taken from `space`, in the kernel; fewer bytes at its end."""
        copy_range(source, self._fd, size=size, source_offset=start, target_offset=offset)

    def record(self, data: bytes) -> int:
        """Store an inode and what follows it; returns its nid."""
        size = len(data)
        offset = self.space.record(size)
        if size > BLOCK_BYTES:
            self.write(offset, data, size)
            return offset // SLOT_BYTES
        start = offset - self._extent_at
        if not 0 <= start < len(self._extent):
            self._flush_extent()
            self._extent_at = offset
            self._extent = bytearray(self.space.extent_end - offset)
            start = 0
        self._extent[start : start + size] = data
        return offset // SLOT_BYTES

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of what was stored by `record` or written."""
        start = offset - self._extent_at
        if 0 <= start < len(self._extent):
            return bytes(self._extent[start : start + size])
        self._flush_queue()
        return os.pread(self._fd, size, offset)

    def _flush_extent(self) -> None:
        if self._extent:
            _write_all(self._fd, [self._extent], self._extent_at, len(self._extent))

    def _flush_queue(self) -> None:
        if self._queue:
            _write_all(self._fd, self._queue, self._queue_at, self._queue_end - self._queue_at)
            self._queue = []

    # -- inodes ------------------------------------------------------------------------------------------------------

    def file(self, inode: Inode, xattrs: bytes, data: Data) -> int:
        """Store a file of `inode.size` bytes; returns its nid. Layout, place and serial are found here."""
        head = INODE_BYTES + len(xattrs)
        tail = inode.size & _BLOCK_MASK
        if tail and head + tail > BLOCK_BYTES:
            tail = 0
        whole = inode.size - tail
        block = 0
        if whole:
            block = self.space.data(whole)
            data.pieces(whole, self, block * BLOCK_BYTES)
        end = data.tail(tail) if tail else b""
        return self._store(inode, xattrs, end, block)

    def sparse(self, inode: Inode, xattrs: bytes) -> tuple[int, int]:
        """Store a file whose data is written by the caller; returns its nid and where its data begins.

        What is not written is a hole in the image, and reads as zeros.
        """
        block = self.space.data(inode.size) if inode.size else 0
        return self._store(inode, xattrs, b"", block), block * BLOCK_BYTES

    def special(self, inode: Inode, xattrs: bytes, data: bytes = b"") -> int:
        """Store a link with its target, a device (`inode.place`), a pipe; returns its nid."""
        if data and INODE_BYTES + len(xattrs) + len(data) > BLOCK_BYTES:
            block = self.space.data(len(data))
            self.write(block * BLOCK_BYTES, data, len(data))
            return self._store(inode, xattrs, b"", block)
        return self._store(inode, xattrs, data, inode.place)

    def _store(self, inode: Inode, xattrs: bytes, tail: bytes, place: int) -> int:
        layout = Layout.INLINE if tail else Layout.PLAIN
        packed = pack_placed(inode, layout, place, self.serial(), len(xattrs))
        return self.record(packed + xattrs + tail)

    def link_target(self, nid: int) -> bytes:
        """Where a symbolic link leads that was stored here."""
        offset = nid * SLOT_BYTES
        inode = unpack_inode(self.read(offset, INODE_BYTES))
        assert stat.S_ISLNK(inode.mode), "asked of a link only"
        at = offset + inode.head_bytes if inode.layout == Layout.INLINE else inode.place * BLOCK_BYTES
        return self.read(at, inode.size)

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, *, root: bytes, uuid: bytes, links: dict[int, int]) -> None:
        """Write all that is left: the image is whole then, not yet on the disk.

        Args:
            root: the root's inode with what follows it, at most `ROOT_BYTES`.
            uuid: 16 bytes.
            links: inodes with another number of names than one.
        """
        assert len(root) <= ROOT_BYTES, "the root was placed to fit"
        self._flush_queue()
        self._flush_extent()
        for nid, count in links.items():
            _write_all(self._fd, [count.to_bytes(4, "little")], nid * SLOT_BYTES + NLINK_OFFSET, 4)
        blocks = self.space.blocks
        os.ftruncate(self._fd, blocks * BLOCK_BYTES)
        first = first_block(root=root, inodes=self._serial + 1, blocks=blocks, uuid=uuid)
        _write_all(self._fd, [first], 0, len(first))


def _write_all(fd: int, buffers: list[Buffer], offset: int, total: int) -> None:
    written = os.pwritev(fd, buffers, offset)
    if written < total:
        # A full disk tells itself with the next try.
        rest = memoryview(b"".join(buffers))[written:]
        while rest:
            written += (count := os.pwrite(fd, rest, offset + written))
            rest = rest[count:]
