"""Attributes of mounts: mount_setattr(2)."""

from __future__ import annotations

import ctypes
import os

from linux.syscall import syscall

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000

RDONLY = 1
NOSUID = 2
NODEV = 4
NOEXEC = 8
_IDMAP = 0x100000


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


def map_ids(tree: int, userns: int, *, path: str, recursive: bool = False) -> None:
    """Have a mount that is nowhere in the tree yet show its files as a user namespace maps their owners.

    Args:
        tree: descriptor of the mount.
        userns: descriptor of the namespace.
        path: what the mount shows, for errors.
        recursive: those below it, too.

    Raises:
        OSError: EINVAL where the file system (or the kernel) cannot, ENOSYS before Linux 5.12.
    """
    attributes = _MountAttr(attr_set=_IDMAP, userns_fd=userns)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", tree, b"", flags, ctypes.byref(attributes), ctypes.sizeof(attributes), path=path)
