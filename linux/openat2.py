"""openat2(2): opening a path while saying how its components may be resolved.

With `RESOLVE_IN_ROOT` the directory `dir_fd` is the root of the world: absolute symbolic links and `..` stay
in it. That is how hostile paths are opened; checking a path first and opening it afterwards is a race.
"""

from __future__ import annotations

import ctypes
import errno
import os

from linux.syscall import NR, fail, libc

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20


class OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SIZE = ctypes.c_size_t(ctypes.sizeof(OpenHow))
_NUMBER = ctypes.c_long(NR["openat2"])
_TRIES = 1000

_syscall = libc.syscall


def openat2(path: str | bytes, *, dir_fd: int, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open `path` below `dir_fd` and return the descriptor; the caller closes it. Add `O_CLOEXEC` to `flags`.

    Raises `OSError`: ELOOP or EXDEV when the path leaves what `resolve` allows; EAGAIN only when directories
    kept being renamed under the call, which can then not promise to have stayed inside.
    """
    how = ctypes.byref(OpenHow(flags, mode, resolve))
    name = path if isinstance(path, bytes) else os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte in path")
    for _ in range(_TRIES):
        fd: int = _syscall(_NUMBER, dir_fd, name, how, _SIZE)
        if fd >= 0:
            return fd
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    raise fail(path)
