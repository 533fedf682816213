"""The data of a directory: names in order, cut into blocks that each begin with a table. Pure.

The kernel searches by halves, first for the block and then in it, so the order is that of the bytes over the whole
directory, `.` and `..` not excepted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

from actors.snapshot.erofs.layout import BLOCK_BYTES

ENTRY_BYTES = 12
_ENTRY = struct.Struct("<QHBB")


def pages(names: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """Where to cut a sorted list of names: first, end, and the bytes used in that block."""
    found = []
    first, used = 0, 0
    for number, name in enumerate(names):
        needed = ENTRY_BYTES + len(name)
        if used + needed > BLOCK_BYTES:
            found.append((first, number, used))
            first, used = number, 0
        used += needed
    found.append((first, len(names), used))
    return found


def size_of(cuts: Sequence[tuple[int, int, int]]) -> int:
    """The directory's size: all of its blocks count whole but the last."""
    return (len(cuts) - 1) * BLOCK_BYTES + cuts[-1][2]


def encode(
    names: Sequence[bytes], targets: Iterable[tuple[int, int]], cuts: Sequence[tuple[int, int, int]]
) -> Iterator[bytes]:
    """Yield the blocks, the last one without padding.

    Args:
        names: sorted.
        targets: nid and file type of each.
        cuts: what `pages` said of the names.
    """
    given = iter(targets)
    for first, end, _ in cuts:
        offset = ENTRY_BYTES * (end - first)
        table, texts = [], []
        for name in names[first:end]:
            nid, kind = next(given)
            table.append(_ENTRY.pack(nid, offset, kind, 0))
            texts.append(name)
            offset += len(name)
        block = b"".join((*table, *texts))
        yield block if end == len(names) else block.ljust(BLOCK_BYTES, b"\0")


def find(data: bytes, name: bytes) -> tuple[int, int] | None:
    """Nid and file type of a name in a directory's data; None when it is not there."""
    for start in range(0, len(data), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        count = _ENTRY.unpack_from(block)[1] // ENTRY_BYTES
        entries = [_ENTRY.unpack_from(block, number * ENTRY_BYTES) for number in range(count)]
        ends = [*(entry[1] for entry in entries[1:]), len(block)]
        for (nid, offset, kind, _), end in zip(entries, ends, strict=True):
            if block[offset:end].rstrip(b"\0") == name:
                return nid, kind
    return None
