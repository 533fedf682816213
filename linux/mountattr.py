"""Attributes of mounts that are there: mount_setattr(2)."""

from __future__ import annotations

import ctypes
import os

from linux.syscall import syscall

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def set_read_only(path: str, *, read_only: bool = True, recursive: bool = False) -> None:
    """Make a mount (with `recursive`, and those below it) read-only or not; its file system is not asked.

    What was opened by way of another mount, as in the namespace that this one was copied from, can still be written.
    Raises `OSError`: EINVAL when `path` is no mount point, ENOSYS before Linux 5.12.
    """
    attributes = _MountAttr()
    if read_only:
        attributes.attr_set = _MOUNT_ATTR_RDONLY
    else:
        attributes.attr_clr = _MOUNT_ATTR_RDONLY
    flags = _AT_RECURSIVE if recursive else 0
    size = ctypes.sizeof(attributes)
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size, path=path)
