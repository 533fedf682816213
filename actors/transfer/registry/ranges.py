"""A part of a blob. Data only."""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """A part of a blob.

    Attributes:
        offset: of its first byte.
        length: in bytes.
    """

    offset: int
    length: int

    @property
    def end(self) -> int:
        """Of its last byte, one further."""
        return self.offset + self.length
