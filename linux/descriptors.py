"""File descriptors of this process, many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable

from linux.syscall import syscall

CLOSE_RANGE_CLOEXEC = 4
_LAST = 0xFFFFFFFF


def close_range(first: int, last: int = _LAST, flags: int = 0) -> None:
    """Close descriptors `first` to `last`, both included, or mark them close-on-exec; gaps are no error."""
    syscall("close_range", first, last, flags)


def close_all_except(keep: Iterable[int], *, first: int = 3) -> None:
    """Close every descriptor from `first` upward but those of `keep`. For a fresh fork."""
    start = first
    for fd in sorted({fd for fd in keep if fd >= first}):
        if fd > start:
            close_range(start, fd - 1)
        start = fd + 1
    close_range(start)


def opened() -> list[int]:
    """Return the descriptors open in this process, in order."""
    # The one that listdir itself had open is closed by now, so stat drops it.
    return sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.lexists(f"/proc/self/fd/{fd}"))
