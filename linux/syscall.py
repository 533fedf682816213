"""The libc handle, system call numbers, and the one place where an errno becomes an `OSError`.

Calls that glibc wraps go through `libc`; those that it does not (or only in newer versions than we support)
go through `syscall()` with a number from `NR`.
"""

from __future__ import annotations

import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)

_syscall = libc.syscall
_syscall.restype = ctypes.c_long

# Calls added since Linux 5.0 have one number on every architecture; older ones differ.
_COMMON = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "pidfd_open": 434,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}
_BY_MACHINE = {
    "x86_64": {"capget": 125, "capset": 126, "pivot_root": 155},
    "aarch64": {"capget": 90, "capset": 91, "pivot_root": 41},
}


def numbers(machine: str) -> dict[str, int]:
    """Return the system call numbers of `machine` (as `uname -m` says it).

    An unknown machine gets the common numbers only, so that what needs no others works there.
    """
    return {**_COMMON, **_BY_MACHINE.get(machine, {})}


NR = numbers(os.uname().machine)


def fail(path: str | bytes | None = None) -> OSError:
    """Return the `OSError` for the errno of this thread's last libc call; `path` becomes its `filename`."""
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), path) if path is not None else OSError(code, os.strerror(code))


def check(result: int, path: str | bytes | None = None) -> int:
    """Return `result`, or raise `OSError` (naming `path`) when it is negative."""
    if result < 0:
        raise fail(path)
    return result


def syscall(name: str, *args: object, path: str | bytes | None = None) -> int:
    """Make system call `name` of `NR`; integers are passed as 64-bit longs, the rest as ctypes passes it.

    Raises `OSError`: ENOSYS also when this machine's number is not known here.
    """
    number = NR.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"system call {name} is not known on {os.uname().machine}", path)
    longs = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return check(_syscall(ctypes.c_long(number), *longs), path)
