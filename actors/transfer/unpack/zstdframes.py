"""The frames of a zstd stream, cut where blocks end.

The decoder can be given bytes only and then returns all that they become: four bytes may become 128 KiB. Cutting the
stream at blocks bounds that, and shows whether it ends where a frame does. Nothing is decoded here. Source: RFC 8878,
sections 3.1.1 and 3.1.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK_MAX_BYTES = 128 * 1024
"""The most that one block becomes."""

_SKIPPABLE_FIRST = 0x184D2A50
_SKIPPABLE_MASK = 0xFFFFFFF0
_DICTIONARY_ID_SIZES = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES = (0, 2, 4, 8)
_RLE_BLOCK = 1
_RESERVED_BLOCK = 3


class FrameError(ValueError):
    """The stream is no sequence of whole zstd frames."""


class Piece(NamedTuple):
    """A part of one frame: the frame's header, or some of its blocks, or both."""

    data: bytes
    is_last: bool
    """The frame ends with this piece."""


class _Source:
    """Exact reads from a function that returns some bytes, and none at the end."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._position = 0

    def take(self, size: int) -> bytes:
        """Return `size` bytes; raises `FrameError` when there are fewer."""
        data = self.take_up_to(size)
        if len(data) < size:
            raise FrameError("the stream ends inside of a frame")
        return data

    def take_up_to(self, size: int) -> bytes:
        end = self._position + size
        while end > len(self._buffer):
            more = self._read()
            if not more:
                break
            self._buffer = self._buffer[self._position :] + more
            self._position, end = 0, size
        data = self._buffer[self._position : end]
        self._position += len(data)
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.take(min(size, BLOCK_MAX_BYTES)))


def is_skippable(magic: bytes) -> bool:
    """Say whether a frame with these first four bytes holds no data."""
    return int.from_bytes(magic, "little") & _SKIPPABLE_MASK == _SKIPPABLE_FIRST


def pieces(read: Callable[[], bytes], *, blocks: int = 8) -> Iterator[Piece]:
    """Cut the stream that `read` gives into pieces of at most `blocks` blocks; skippable frames are left out.

    Raises `FrameError` for a stream that ends early or holds something else between frames.
    """
    source = _Source(read)
    while magic := source.take_up_to(len(MAGIC)):
        if magic == MAGIC:
            yield from _frame(source, blocks)
        elif len(magic) == len(MAGIC) and is_skippable(magic):
            source.skip(int.from_bytes(source.take(4), "little"))
        else:
            raise FrameError("something that is no frame follows a frame")


def _frame(source: _Source, blocks: int) -> Iterator[Piece]:
    descriptor = source.take(1)
    flags = descriptor[0]
    is_single_segment = bool(flags & 0x20)
    has_checksum = bool(flags & 0x04)
    content_size = flags >> 6
    size = _DICTIONARY_ID_SIZES[flags & 0x03] + _CONTENT_SIZE_SIZES[content_size] + (not is_single_segment)
    # A single segment has no window descriptor, but then always a content size, of at least one byte.
    size += is_single_segment and content_size == 0
    parts = [MAGIC, descriptor, source.take(size)]
    count = 0
    is_last = False
    while not is_last:
        head = source.take(3)
        value = int.from_bytes(head, "little")
        is_last = bool(value & 1)
        kind = value >> 1 & 3
        if kind == _RESERVED_BLOCK:
            raise FrameError("a block is of the reserved type")
        parts += (head, source.take(1 if kind == _RLE_BLOCK else value >> 3))
        count += 1
        if is_last and has_checksum:
            parts.append(source.take(4))
        if is_last or count == blocks:
            yield Piece(b"".join(parts), is_last)
            parts = []
            count = 0
