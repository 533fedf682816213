"""Owner, times and mode that an entry asks for, checked. Pure."""

from __future__ import annotations

import stat

from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.errors import UnpackError, shown
from wharfie.errors import Code

MAX_ID = (1 << 31) - 1
MAX_TIME_NS = (1 << 63) - 1
"""The end of what counts nanoseconds in 64 bits: the year 2262."""

_MAX_MAJOR = (1 << 12) - 1
_MAX_MINOR = (1 << 20) - 1

SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID


def _refused(entry: Entry, what: str) -> UnpackError:
    return UnpackError(
        Code.INVALID_ARGUMENT, f"entry '{shown(entry.name)}' of the layer has {what}", {"entry": shown(entry.name)}
    )


def owner(entry: Entry) -> tuple[int, int]:
    """Return user and group. Raises `UnpackError` for ids that are root's in some programs' 32 bits."""
    if not (0 <= entry.uid <= MAX_ID and 0 <= entry.gid <= MAX_ID):
        raise _refused(entry, f"the owner {entry.uid}:{entry.gid}, ids go from 0 to {MAX_ID}")
    return entry.uid, entry.gid


def _bounded(time_ns: int) -> int:
    return time_ns if 0 <= time_ns <= MAX_TIME_NS else 0


def times(entry: Entry) -> tuple[int, int]:
    """Return access and modification time in nanoseconds; times that 1970 to 2262 do not hold become 1970."""
    mtime = _bounded(entry.mtime_ns)
    atime = mtime if entry.atime_ns is None else max(mtime, _bounded(entry.atime_ns))
    return atime, mtime


def device(entry: Entry) -> tuple[int, int]:
    """Return major and minor number. Raises `UnpackError` for numbers that Linux does not have."""
    if not (0 <= entry.device_major <= _MAX_MAJOR and 0 <= entry.device_minor <= _MAX_MINOR):
        raise _refused(entry, f"the device number {entry.device_major}:{entry.device_minor}, which cannot exist")
    return entry.device_major, entry.device_minor
