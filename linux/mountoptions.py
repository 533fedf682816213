"""Mount options as OCI and containerd write them, turned into what mount(2) takes.

Pure. Options that the kernel knows as flags set or clear bits; propagation options (`rprivate`, …) need a
call of their own after the mount; everything else is data for the file system.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25

_SET = {
    "bind": MS_BIND,
    "dirsync": MS_DIRSYNC,
    "lazytime": MS_LAZYTIME,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "nosymfollow": MS_NOSYMFOLLOW,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "ro": MS_RDONLY,
    "silent": MS_SILENT,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}
_CLEAR = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "loud": MS_SILENT,
    "nolazytime": MS_LAZYTIME,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "symfollow": MS_NOSYMFOLLOW,
}
_PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}
# They ask for work in user space that is not done here; ignoring them would mount something else than was
# asked for.
_UNSUPPORTED = frozenset({"loop", "idmap", "ridmap"})
_MAPPINGS = ("uidmap", "gidmap")


class MountOptions(NamedTuple):
    """Options sorted by how they reach the kernel."""

    flags: int
    data: tuple[str, ...]
    """What the file system itself gets, in order."""
    propagation: tuple[int, ...]
    """Flags of the calls that follow the mount, in order."""
    mappings: tuple[str, ...] = ()
    """How users and groups are mapped, in the words of `linux.idmap`; nothing, or both."""


def parse(options: Iterable[str]) -> MountOptions:
    """Sort `options`; of two that contradict each other the later one wins, as in mount(8).

    Options beginning with `X-` or `x-` are comments for user space and dropped.
    Raises `ValueError` for an option that is understood and not supported, or one of `uidmap` and `gidmap` alone.
    """
    mappings: dict[str, str] = {}
    flags = 0
    data: list[str] = []
    propagation: list[int] = []
    for option in options:
        if option in _SET:
            flags |= _SET[option]
        elif option in _CLEAR:
            flags &= ~_CLEAR[option]
        elif option in _PROPAGATION:
            propagation.append(_PROPAGATION[option])
        elif option.startswith(("uidmap=", "gidmap=")):
            mappings[option[:6]] = option[7:]
        elif option.partition("=")[0] in _UNSUPPORTED:
            raise ValueError(f"mount option {option!r} is not supported")
        elif option and option != "defaults" and not option.startswith(("X-", "x-")):
            data.append(option)
    if len(mappings) == 1:
        raise ValueError("mount options 'uidmap' and 'gidmap' only go together")
    return MountOptions(
        flags=flags,
        data=tuple(data),
        propagation=tuple(propagation),
        mappings=tuple(mappings[name] for name in _MAPPINGS if name in mappings),
    )
