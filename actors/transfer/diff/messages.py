"""What is asked of a job that compares two trees, and what it answers."""

from __future__ import annotations

from actors.transfer.diff.sides import Sides
from actors.transfer.diff.sink import Compression
from wharfie.types.base import Message
from wharfie.types.diff import Kind


class CompareJob(Message, frozen=True, kw_only=True):
    """Compare two trees; with a descriptor, write the difference into it as a layer.

    Attributes:
        place: an empty directory below which the job mounts what it reads, for itself alone.
        latest_ns: no time in the layer is after this one.
    """

    sides: Sides
    place: str
    compression: Compression = Compression.GZIP
    latest_ns: int | None = None


class FoundChange(Message, frozen=True, kw_only=True):
    """One path, relative to the root."""

    kind: Kind
    path: bytes


class Compared(Message, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        needs_merge: the upper directory does not tell by itself; nothing was done, ask again with `Sides.merged`.
        changes: told when no layer was asked for.
        digest: of the layer's blob, and its `size`.
        diff_id: of the tar in it, and its `diff_size`.
    """

    needs_merge: bool = False
    changes: list[FoundChange] = []
    digest: str = ""
    size: int = 0
    diff_id: str = ""
    diff_size: int = 0
