"""Owners of a container in a user namespace, as its image has them: the mapping of a snapshot, undone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from linux import idmap
from linux.idmap import Range
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


def _ranges(text: str) -> tuple[Range, ...]:
    try:
        return idmap.parse(text) if text else ()
    except ValueError as error:
        raise InvalidArgument(f"mapping of owners: {error}", details={"field": "mounts"}) from None


def _inside(number: int, ranges: Sequence[Range], what: str) -> int:
    if not ranges:
        return number
    for one in ranges:
        if one.outside <= number < one.outside + one.size:
            return one.inside + number - one.outside
    raise FailedPrecondition(f"a file belongs to {what} {number}, whom the snapshot's mapping does not have")
