"""Linux namespaces: leaving them and entering them."""

from __future__ import annotations

from linux.mount import make_private
from linux.syscall import check, libc

CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_NEWTIME = 0x00000080


def unshare(flags: int) -> None:
    """Move this thread to new namespaces; `CLONE_NEWPID` is only for children made from here on."""
    check(libc.unshare(flags))


def setns(fd: int, flags: int = 0) -> None:
    """Enter the namespace of `fd` (a /proc/PID/ns file or a pidfd); `flags` say which kinds are accepted."""
    check(libc.setns(fd, flags))


def unshare_mounts() -> None:
    """Give this process a mount namespace of its own, with no propagation either way."""
    unshare(CLONE_NEWNS)
    make_private("/")


def in_user_namespace() -> bool:
    """Say whether root here is not the host's root: ids are mapped."""
    with open("/proc/self/uid_map", "rb") as uid_map:
        return uid_map.read().split() != [b"0", b"0", b"4294967295"]
