"""Owners of a container in a user namespace, as its image has them: the mapping of a snapshot, undone. Pure."""

from __future__ import annotations

from collections.abc import Callable

from wharfie.errors import FailedPrecondition, InvalidArgument


def inside(uids: str, gids: str) -> Callable[[int, int], tuple[int, int]]:
    """Return what turns a user and group outside into those inside.

    Args:
        uids: `INSIDE:OUTSIDE:SIZE`, several by commas, as the options of mounts have it; empty maps nothing.
        gids: the same of groups.

    Raises:
        InvalidArgument: a mapping is malformed.
    """
    users, groups = _ranges(uids), _ranges(gids)

    def owner(uid: int, gid: int) -> tuple[int, int]:
        return _inside(uid, users, "user"), _inside(gid, groups, "group")

    return owner


def _ranges(text: str) -> list[tuple[int, int, int]]:
    ranges = []
    for part in text.split(",") if text else ():
        numbers = part.split(":")
        if len(numbers) != 3 or not all(number.isascii() and number.isdecimal() for number in numbers):
            raise InvalidArgument(f"mapping '{part[:64]}' is not INSIDE:OUTSIDE:SIZE", details={"field": "mounts"})
        ranges.append((int(numbers[0]), int(numbers[1]), int(numbers[2])))
    return ranges


def _inside(number: int, ranges: list[tuple[int, int, int]], what: str) -> int:
    if not ranges:
        return number
    for first, outside, size in ranges:
        if outside <= number < outside + size:
            return first + number - outside
    raise FailedPrecondition(f"a file belongs to {what} {number}, whom the snapshot's mapping does not have")
