"""Attributes of mounts that are there: mount_setattr(2)."""

from __future__ import annotations

import ctypes
import os

from linux.syscall import syscall

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000

RDONLY = 1
NOSUID = 2
NODEV = 4
NOEXEC = 8


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def change(path: str, *, add: int = 0, remove: int = 0, recursive: bool = False) -> None:
    """Change the attributes of a mount, with `recursive` of those below it too; its file system is not asked.

    What was opened by way of another mount, as in the namespace that this one was copied from, is not concerned.
    Raises `OSError`: EINVAL when `path` is no mount point, ENOSYS before Linux 5.12.
    """
    attributes = _MountAttr(attr_set=add, attr_clr=remove)
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.sizeof(attributes)
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size, path=path)
