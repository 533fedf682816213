"""What a process gives up before it unpacks a stranger's archive.

It keeps what making files needs and nothing else: no network, no mounts that others see, no other capability, no way to
gain one, no core dumps. A fault in what reads the archive then has little to take.
"""

from __future__ import annotations

import resource

from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import capabilities, namespaces, prctl
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

    Raises `OSError` when the process could not be confined; it must not go on then.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    namespaces.unshare(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC)
    namespaces.unshare_mounts()
    prctl.set_no_new_privs()
    capabilities.limit_to(needed_capabilities(request))
