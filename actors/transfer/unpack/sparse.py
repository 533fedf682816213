"""Sparse files in tar: where the pieces of data belong that follow the header.

GNU tar has had four ways to write that: blocks of old GNU headers, and three versions of PAX records (0.0, 0.1 and 1.0,
whose map stands before the data). All become a list of segments. Source: GNU tar manual, "Storing sparse files".
"""

from __future__ import annotations

from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.header import BLOCK_SIZE, HeaderError, number
from actors.transfer.unpack.pax import decimal

Segment = tuple[int, int]
"""Offset in the file and length, in bytes."""

MAX_SEGMENTS = 262_144

_OLD_START = 386
_OLD_COUNT = 4
_OLD_EXTENDED = 482
_OLD_REAL_SIZE = slice(483, 495)
_EXTENSION_COUNT = 21
_EXTENSION_EXTENDED = 504
_FIELD = 12


def _old_segments(block: bytes, start: int, count: int) -> list[Segment]:
    segments = []
    for place in range(start, start + count * 2 * _FIELD, 2 * _FIELD):
        length = block[place + _FIELD : place + 2 * _FIELD]
        # An unused slot ends the map.
        if not block[place] and not length[0]:
            break
        segments.append((number(block[place : place + _FIELD]), number(length)))
    return segments


def read_old_gnu(block: bytes, stream: ByteStream) -> tuple[list[Segment], int]:
    """Return the segments and the real size of an old GNU header; extension blocks are taken from `stream`.

    Raises `HeaderError`.
    """
    segments = _old_segments(block, _OLD_START, _OLD_COUNT)
    extended = block[_OLD_EXTENDED]
    while extended:
        extension = stream.take(BLOCK_SIZE)
        if len(extension) < BLOCK_SIZE:
            raise HeaderError("the map of a sparse file is cut off")
        segments.extend(_old_segments(extension, 0, _EXTENSION_COUNT))
        _check_count(len(segments))
        extended = extension[_EXTENSION_EXTENDED]
    return segments, number(block[_OLD_REAL_SIZE])


def _check_count(count: int) -> None:
    if count > MAX_SEGMENTS:
        raise HeaderError(f"a sparse file has more than {MAX_SEGMENTS} segments")


def _pairs(numbers: list[bytes]) -> list[Segment]:
    if len(numbers) % 2:
        raise HeaderError("the map of a sparse file has an offset without a length")
    _check_count(len(numbers) // 2)
    return [(decimal(numbers[index]), decimal(numbers[index + 1])) for index in range(0, len(numbers), 2)]


def from_records(records: list[tuple[bytes, bytes]]) -> list[Segment] | None:
    """Return the segments that PAX records of version 0.0 or 0.1 hold; None when they hold none.

    `records` are those whose keys begin with `GNU.sparse.`, without that beginning and in their order.
    Raises `HeaderError`.
    """
    numbers: list[bytes] = []
    found = False
    for key, value in records:
        if key == b"map":
            return _pairs(value.split(b",") if value else [])
        if key in (b"offset", b"numbytes"):
            if (len(numbers) % 2 == 0) != (key == b"offset"):
                raise HeaderError("offsets and lengths of a sparse file do not alternate")
            numbers.append(value)
        found = found or key in (b"offset", b"numbytes", b"numblocks")
    return _pairs(numbers) if found else None


def read_version_1(stream: ByteStream, size: int) -> tuple[list[Segment], int]:
    """Read the map of version 1.0 at the start of a file's data; return the segments and the bytes that it took.

    `size` is the size of map and data together. Raises `HeaderError`.
    """
    text = b""
    taken = 0
    numbers: list[bytes] = []
    wanted = 1
    while len(numbers) < wanted:
        if taken + BLOCK_SIZE > size:
            raise HeaderError("the map of a sparse file is cut off")
        block = stream.take(BLOCK_SIZE)
        taken += BLOCK_SIZE
        lines = (text + block).split(b"\n")
        text = lines.pop()
        if not numbers and lines:
            count = decimal(lines[0])
            _check_count(count)
            wanted = 1 + 2 * count
        numbers.extend(lines)
        if len(text) > BLOCK_SIZE and len(numbers) < wanted:
            raise HeaderError("the map of a sparse file is no list of numbers")
    return _pairs(numbers[1:wanted]), taken


def check(segments: list[Segment], *, data_bytes: int, real_size: int) -> None:
    """See that the segments are in order, lie in the file and use up its data. Raises `HeaderError`."""
    end = 0
    total = 0
    for offset, length in segments:
        if offset < end or length < 0:
            raise HeaderError("the segments of a sparse file overlap or are out of order")
        end = offset + length
        total += length
    if end > real_size:
        raise HeaderError("a segment of a sparse file ends behind its end")
    if total != data_bytes:
        raise HeaderError(f"the segments of a sparse file hold {total} bytes, the archive {data_bytes}")
