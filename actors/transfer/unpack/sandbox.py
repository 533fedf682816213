"""What a process gives up before it works on what a stranger made: an archive, or the tree of a container.

It keeps what its work needs and nothing else. It has no network, and cannot open a socket; it has its own mounts, all
of them read-only, so what it was not given a descriptor of it cannot change; it has no other capability, and no way to
gain one, to mount, to start a program or to reach into another process. A fault in what reads the archive then has
little to take.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable

from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import capabilities, mount, mountattr, namespaces, prctl, seccomp
from linux.capabilities import Capability

_ALWAYS = frozenset(
    {
        Capability.CHOWN,
        Capability.DAC_OVERRIDE,
        Capability.FOWNER,
        Capability.FSETID,
        Capability.MKNOD,
        Capability.SETFCAP,
    }
)


def needed_capabilities(request: UnpackRequest) -> frozenset[Capability]:
    """Return what this request cannot be answered without. Pure.

    Only the kernel's rule that `trusted.*` attributes need it asks for `SYS_ADMIN`.
    """
    if request.whiteouts is Whiteouts.OVERLAY and not request.userxattr:
        return _ALWAYS | {Capability.SYS_ADMIN}
    return _ALWAYS


def confine(keep: Iterable[Capability] = ()) -> None:
    """Give up all but some capabilities and the descriptors that are open, for good.

    Call it in a process of its own, before it has threads. Raises `OSError` when the process could not be confined; it
    must not go on then.
    """
    isolate()
    seal(keep)


def isolate() -> None:
    """Leave the network and the mounts that others see; mounts made from here on are this process's own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    namespaces.unshare(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC)
    namespaces.unshare_mounts()


def cover(place: str) -> None:
    """Mount an empty file system at a directory, for places to mount things at. After `isolate`."""
    mount.mount("none", place, fstype="tmpfs", data="size=1m,mode=700")


def bound(fd: int, place: str) -> int:
    """Show a directory at another place, by a mount that `seal` is about, and return a descriptor of it there.

    Through the one it was given by, everything could still be written and devices be opened. After `isolate`.

    Args:
        fd: of the directory.
        place: an empty directory that may be covered; the new one is `tree` in it.
    """
    path = tree(place)
    cover(place)
    os.mkdir(path, 0o700)
    mount.mount(os.readlink(f"/proc/self/fd/{fd}"), path, flags=mount.MS_BIND)
    shown = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not os.path.samestat(os.fstat(fd), os.fstat(shown)):
        raise FileNotFoundError(errno.ENOENT, "the directory was moved", path)
    os.close(fd)
    return shown


def tree(place: str) -> str:
    """Where below an empty directory the tree is shown that a job works on."""
    return f"{place}/tree"


def seal(
    keep: Iterable[Capability] = (),
    *,
    writable: Iterable[str] = (),
    refused: Iterable[str] = seccomp.NETWORK | seccomp.PRIVILEGED,
) -> None:
    """Make every mount read-only but those at `writable`, then give up the rest. After `isolate`, once.

    No device can be opened through any of them, also none that was made there. `refused` are system calls; who has to
    speak with others is not refused the network.
    """
    try:
        mountattr.change("/", add=mountattr.RDONLY | mountattr.NODEV | mountattr.NOSUID, recursive=True)
        for path in writable:
            mountattr.change(path, remove=mountattr.RDONLY)
    except OSError as error:
        # Before Linux 5.12 this wall is missing; the others stand.
        if error.errno != errno.ENOSYS:
            raise
    prctl.set_no_new_privs()
    capabilities.limit_to(keep)
    seccomp.deny(refused)
