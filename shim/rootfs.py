"""The root file system of a bundle: mounting it before the runtime's create, unmounting it after its delete."""

from __future__ import annotations

from linux import mount as mounts
from shim.complaint import complain
from shim.protocol import Create


def mount(body: Create) -> None:
    """Mount the list onto `<bundle>/rootfs`, all of it or nothing. For a fork: it may hang.

    Raises:
        OSError: the kernel refuses.
        ValueError: an option is not supported.

    """
    listed = [(one.type, one.source, one.target, tuple(one.options)) for one in body.rootfs]
    mounts.mount_all(listed, root=f"{body.bundle}/rootfs")


def unmount(bundle: str, count: int) -> None:
    """Unmount what was mounted. Idempotent; what is in use is detached, what stays is complained of.

    Args:
        bundle: the bundle.
        count: how many mounts there were; a single one needs no look at the table of mounts.

    """
    root = f"{bundle}/rootfs"
    try:
        if count == 1:
            mounts.umount(root)
        else:
            mounts.unmount_beneath(root)
    except OSError:
        # Something of the host is in there, a shell perhaps: it keeps what it holds, the path is free.
        try:
            mounts.unmount_beneath(root, flags=mounts.MNT_DETACH)
        except OSError as error:
            complain(f"'{root}' is still mounted: {error}")
