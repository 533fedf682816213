"""Where the bytes of a `content.write` may go. Pure.

An ingest grows at its end and nowhere else; offset 0 begins anew. A repeated write (its worker died before it could
answer, so nobody remembers it) finds its bytes in place, all or a part of them, and is the same write only if they are
the same bytes.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """What a write does."""

    APPEND = "append"
    """Its bytes go to the end."""
    TRUNCATE = "truncate"
    """The ingest is emptied, then its bytes are the first."""
    COMPARE = "compare"
    """Its bytes must be the ones that are there; what goes beyond the end is appended."""
    REFUSE = "refuse"
    """It leaves a gap, or goes where bytes are already."""


def decide(*, offset: int, current: int, inherited: int, repeated: bool, keyed: bool) -> Step:
    """Where a write goes.

    Args:
        offset: where its first byte shall be.
        current: bytes in the ingest.
        inherited: how many of them were there before this process wrote any: nobody remembers whose they are.
        repeated: an earlier incarnation of the worker died with this very request.
        keyed: the request has an idempotency key, so it may be a repeated one.
    """
    if offset == current:
        return Step.APPEND
    if offset < current and (repeated or (keyed and 0 < offset < inherited)):
        return Step.COMPARE
    return Step.TRUNCATE if offset == 0 else Step.REFUSE
