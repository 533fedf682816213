"""What a process gives up before it works on what a stranger made: an archive, or the tree of a container.

It keeps what its work needs and nothing else. It has no network, and cannot open a socket; it has its own mounts, all
of them read-only, so what it was not given a descriptor of it cannot change; it has no other capability, and no way to
gain one, to mount, to start a program or to reach into another process. A fault in what reads the archive then has
little to take.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable

from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import capabilities, mountattr, namespaces, prctl, seccomp
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


def enter(request: UnpackRequest) -> None:
    """Give up all but what `request` needs, for good. Call it in a process of its own, before it has threads.

    The target must be open already. Raises `OSError` when the process could not be confined; it must not go on then.
    """
    confine(needed_capabilities(request))


def confine(keep: Iterable[Capability] = ()) -> None:
    """Give up all but some capabilities and the descriptors that are open. As `enter`."""
    isolate()
    seal(keep)


def isolate() -> None:
    """Leave the network and the mounts that others see; mounts made from here on are this process's own."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    namespaces.unshare(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC)
    namespaces.unshare_mounts()


def seal(
    keep: Iterable[Capability] = (),
    *,
    writable: Iterable[str] = (),
    refused: Iterable[str] = seccomp.NETWORK | seccomp.PRIVILEGED,
) -> None:
    """Make every mount read-only but those at `writable`, then give up the rest. After `isolate`, once.

    `refused` are system calls; who has to speak with others is not refused the network.
    """
    try:
        mountattr.set_read_only("/", recursive=True)
        for path in writable:
            mountattr.set_read_only(path, read_only=False)
    except OSError as error:
        # Before Linux 5.12 this wall is missing; the others stand.
        if error.errno != errno.ENOSYS:
            raise
    prctl.set_no_new_privs()
    capabilities.limit_to(keep)
    seccomp.deny(refused)
