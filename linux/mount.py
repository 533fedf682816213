"""Mounting and unmounting, from the bare calls to whole lists of mounts.

Nothing here changes the working directory or the mount namespace. What a call mounts it leaves mounted when
it succeeds, and takes down again when it fails.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

from linux import mountinfo, mountoptions, overlay
from linux.mountoptions import MS_BIND, MS_NOSYMFOLLOW, MS_RDONLY, MS_REC, MS_REMOUNT
from linux.syscall import check, fail, libc

MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8

AT_SYMLINK_NOFOLLOW = 0x100
_AT_FDCWD = -100
_STATX_ATTR_MOUNT_ROOT = 0x2000
_STATX_SIZE = 256

# A bind mount takes no other flags than these with its first call: the rest needs a remount.
_BIND_FIRST = MS_BIND | MS_REC

_mount = libc.mount
_mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = libc.umount2
_umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_statx = libc.statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)


class Mount(NamedTuple):
    """One mount of a list, in the words of containerd: what `snapshots.mounts` answers."""

    type: str
    source: str
    target: str
    """Absolute, or relative to the `root` given to `mount_all`; empty means `root` itself."""
    options: tuple[str, ...] = ()


def mount(source: str, target: str, *, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Make one mount.

    Raises `OSError` naming `target`, the usual one being ENOENT for a missing source or target.
    """
    if _mount(os.fsencode(source), os.fsencode(target), fstype.encode(), flags, os.fsencode(data)) < 0:
        error = fail(target)
        error.filename2 = source
        raise error


def umount(target: str, flags: int = UMOUNT_NOFOLLOW) -> None:
    """Call umount2(2). EINVAL says that `target` is no mount point."""
    check(_umount2(os.fsencode(target), flags), target)


def mount_one(source: str, target: str, *, fstype: str, options: Iterable[str] = ()) -> None:
    """Mount with options as OCI writes them, in as many steps as the kernel needs.

    A read-only bind mount is bound and then remounted; propagation follows; an overlay may have more lower
    directories than fit a page; with `uidmap` and `gidmap` a bind mount's files, or those of an overlay's lower
    directories, have other owners (`linux.idmap`). On failure nothing stays mounted.
    Raises `OSError`, or `ValueError` for an option that is not supported.
    """
    parsed = mountoptions.parse(options)
    if parsed.mappings and not parsed.flags & MS_REMOUNT:
        _mount_mapped(source, target, fstype=fstype, parsed=parsed)
    elif parsed.flags & MS_BIND and not parsed.flags & MS_REMOUNT:
        mount(source, target, flags=parsed.flags & _BIND_FIRST)
    elif fstype == "overlay" and overlay.is_long(parsed.data):
        overlay.mount_long(source, target, flags=parsed.flags, options=parsed.data)
    else:
        mount(source, target, fstype=fstype, flags=parsed.flags, data=",".join(parsed.data))
    try:
        extra = parsed.flags & ~(_BIND_FIRST | MS_REMOUNT)
        if parsed.flags & MS_BIND and extra and not parsed.flags & MS_REMOUNT:
            mount("none", target, flags=MS_REMOUNT | MS_BIND | extra, data=",".join(parsed.data))
        for propagation in parsed.propagation:
            mount("none", target, flags=propagation)
    except OSError:
        if not parsed.flags & MS_REMOUNT:
            umount(target, MNT_DETACH | UMOUNT_NOFOLLOW)
        raise


def _mount_mapped(source: str, target: str, *, fstype: str, parsed: mountoptions.MountOptions) -> None:
    from linux import idmap

    uids, gids = map(idmap.parse, parsed.mappings)
    if not parsed.flags & MS_BIND and fstype != "overlay":
        raise ValueError(f"mount options 'uidmap' and 'gidmap' are not supported for file system '{fstype}'")
    with idmap.user_namespace(uids, gids) as userns:
        if parsed.flags & MS_BIND:
            tree = idmap.clone(source, userns, recursive=bool(parsed.flags & MS_REC))
            try:
                idmap.attach(tree, target)
            finally:
                os.close(tree)
            return
        try:
            mount_mapped_overlay(source, target, parsed=parsed, userns=userns)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            mount_mapped_overlay(source, target, parsed=parsed, userns=userns, attached=True)


def mount_mapped_overlay(
    source: str, target: str, *, parsed: mountoptions.MountOptions, userns: int, attached: bool = False
) -> None:
    """Mount an overlay whose lower directories are seen mapped; see `idmap.shown` for `attached`."""
    from linux import idmap

    lower = [one for one in parsed.data if one.startswith("lowerdir=")]
    rest = [one for one in parsed.data if not one.startswith("lowerdir=")]
    directories = [path for one in lower for path in overlay.split_lowerdir(one.removeprefix("lowerdir="))]
    with idmap.shown(directories, userns, attached=attached) as paths:
        options = [*rest, "lowerdir=" + ":".join(paths)]
        if overlay.is_long(options):
            overlay.mount_long(source, target, flags=parsed.flags, options=options)
        else:
            mount(source, target, fstype="overlay", flags=parsed.flags, data=",".join(options))


def mount_all(mounts: Iterable[Mount | tuple[str, str, str, tuple[str, ...]]], *, root: str = "") -> None:
    """Mount a list in its order: all of it or, with an error, nothing of it.

    `root` is where an empty target stands; a relative one is looked up below `root`, never outside it
    whatever symbolic links lie there. Raises as `mount_one`.
    """
    done: list[str] = []
    try:
        for fstype, source, target, options in mounts:
            place = _place(root, target)
            mount_one(source, place, fstype=fstype, options=options)
            done.append(place)
    except BaseException:
        for place in reversed(done):
            umount(place, MNT_DETACH | UMOUNT_NOFOLLOW)
        raise


def _place(root: str, target: str) -> str:
    if not target or target == "/":
        return root
    if not root:
        return target
    from linux.openat2 import RESOLVE_IN_ROOT, openat2

    with_root = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        fd = openat2(target, dir_fd=with_root, flags=os.O_PATH | os.O_CLOEXEC, resolve=RESOLVE_IN_ROOT)
    finally:
        os.close(with_root)
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def unmount_beneath(path: str, *, include_self: bool = True, flags: int = 0) -> list[str]:
    """Unmount everything at and below `path`, deepest first, and return the mount points. Idempotent.

    Raises `OSError` (EBUSY without `MNT_DETACH` when something is in use) at the first mount that stays.
    """
    directory = os.path.realpath(path)
    unmounted = []
    for entry in mountinfo.beneath(mountinfo.read(), directory):
        if entry.mountpoint == directory and not include_self:
            continue
        try:
            umount(entry.mountpoint, flags | UMOUNT_NOFOLLOW)
        except OSError as error:
            # Gone in the meantime: with its parent, or by propagation from a peer.
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            continue
        unmounted.append(entry.mountpoint)
    return unmounted


def is_mountpoint(path: str) -> bool:
    """Say whether something is mounted at `path`, bind mounts of the same file system included.

    A symbolic link is none. Raises `OSError` when `path` does not exist.
    """
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    check(_statx(_AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, 0, buffer), path)
    attributes = int.from_bytes(buffer.raw[8:16], "little")
    known = int.from_bytes(buffer.raw[56:64], "little")
    if known & _STATX_ATTR_MOUNT_ROOT:
        return bool(attributes & _STATX_ATTR_MOUNT_ROOT)
    full = os.path.realpath(path)
    return not os.path.islink(path) and any(entry.mountpoint == full for entry in mountinfo.read())


def make_private(path: str = "/") -> None:
    """Cut propagation of `path` and all below it, in both directions."""
    mount("none", path, flags=mountoptions.MS_PRIVATE | MS_REC)


__all__ = [
    "MNT_DETACH",
    "MNT_EXPIRE",
    "MNT_FORCE",
    "MS_BIND",
    "MS_NOSYMFOLLOW",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "UMOUNT_NOFOLLOW",
    "Mount",
    "is_mountpoint",
    "make_private",
    "mount",
    "mount_all",
    "mount_one",
    "umount",
    "unmount_beneath",
]
