"""A large blob in parts, for several connections at once. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PART_BYTES_MIN = 512


class Range(NamedTuple):
    """A part of a blob.

    Attributes:
        offset: of its first byte.
        length: in bytes, at least 1.
    """

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Of its last byte, one further."""
        return self.offset + self.length


def split(size_bytes: int, *, start: int = 0, part_bytes: int) -> Iterator[Range]:
    """The parts of a blob from `start` to its end, in order, without gap or overlap.

    Args:
        size_bytes: of the whole blob.
        start: what is there already.
        part_bytes: of each part but the last, at least 512.
    """
    part_bytes = max(part_bytes, PART_BYTES_MIN)
    for offset in range(start, size_bytes, part_bytes):
        yield Range(offset, min(part_bytes, size_bytes - offset))
