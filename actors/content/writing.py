"""What one write does to an ingest, in the thread pool or in the loop. Blocks."""

from __future__ import annotations

from actors.content.admission import Step, decide
from actors.content.ingest import Ingest, Record
from actors.content.store import Buffers
from wharfie.errors import OutOfRange

INLINE_BYTES = 256 * 1024
"""A write up to this size is done in the loop: a trip to the thread pool would cost more than it."""


def plan(ingest: Ingest, *, offset: int, repeated: bool, keyed: bool) -> Step:
    """What a write at `offset` does.

    Raises:
        OutOfRange: it may not go there; `details["offset"]` says where it may.
    """
    if ingest.is_damaged and offset == 0:
        return Step.TRUNCATE
    step = decide(
        offset=offset,
        current=ingest.offset,
        inherited=ingest.inherited,
        repeated=repeated,
        keyed=keyed,
    )
    if step is Step.REFUSE:
        raise _out_of_range(ingest, offset)
    return step


def is_another(record: Record, *, total: int, expected: str) -> bool:
    """Whether who opens an ingest has another blob in mind than who left it. Pure."""
    other_total = bool(total and record.total) and total != record.total
    return other_total or (bool(expected and record.expected) and expected != record.expected)


def is_short(ingest: Ingest, step: Step, *, length: int, algorithm: str) -> bool:
    """Whether the write takes less time than the trip to the thread pool."""
    return (
        length <= INLINE_BYTES
        and step is not Step.COMPARE
        and not ingest.is_shared
        and (step is Step.TRUNCATE or not ingest.needs_hashing(algorithm))
    )


def apply(ingest: Ingest, step: Step, *, offset: int, buffers: Buffers, algorithm: str) -> None:
    """Do what `plan` said.

    Raises:
        OutOfRange: a repeated write has other bytes than the ones that are there.
        OSError: the disk is full or broken; the ingest is as it was.
    """
    if step is Step.TRUNCATE:
        ingest.begin_anew(algorithm)
    else:
        ingest.open(algorithm)
    if step is Step.COMPARE:
        if ingest.holds(buffers, offset):
            buffers = _after(buffers, ingest.offset - offset)
        elif offset == 0:
            ingest.begin_anew(algorithm)
        else:
            raise _out_of_range(ingest, offset)
    if any(len(buffer) for buffer in buffers):
        ingest.own()
        ingest.append(buffers)


def _after(buffers: Buffers, skip: int) -> list[memoryview]:
    """The bytes from `skip` on."""
    rest = []
    for buffer in buffers:
        data = memoryview(buffer)
        if skip < len(data):
            rest.append(data[skip:])
        skip = max(skip - len(data), 0)
    return rest


def _out_of_range(ingest: Ingest, offset: int) -> OutOfRange:
    return OutOfRange(
        f"ref '{ingest.record.ref}' has {ingest.offset} bytes and cannot be written at {offset}; go on at "
        f"{ingest.offset}, or begin anew at 0",
        details={"offset": ingest.offset, "field": "offset"},
    )
