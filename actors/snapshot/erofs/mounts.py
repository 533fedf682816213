"""Images shown to the kernel: mounted from their files, or through a loop device where that cannot be.

Linux mounts erofs from a file since 6.12, if the file's own file system is one with a page cache of the usual kind;
tmpfs is not. A mount made here outlives this process; a second one over it is never made.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading

from linux import mount
from linux.mountoptions import MS_RDONLY

IMAGE = "layer.erofs"
UNFINISHED = "layer.new"
"""What an image is called in its snapshot's directory, and while it is written."""

_NEEDS_DEVICE = frozenset({errno.ENOTBLK, errno.EINVAL})
"""What a kernel says that wants a block device: ENOTBLK itself, EINVAL when the file's file system is not fit."""


class ImageMounts:
    """Mounts of images at directories beside them. Methods are safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def show(self, image: str, place: str) -> bool:
        """Mount an image at `place`, which is made; False when it is mounted there already.

        Raises:
            OSError: the image is gone (ENOENT), or the kernel refuses it.
        """
        with self._lock:
            with contextlib.suppress(FileExistsError):
                os.mkdir(place, 0o700)
            if mount.is_mountpoint(place):
                return False
            mount_image(image, place)
            return True

    def hide(self, place: str) -> None:
        """Unmount, and remove the directory so that nobody takes it for an empty layer. Idempotent.

        Containers that use the layer keep it: overlayfs has a mount of its own of each of its layers.
        """
        with self._lock:
            with contextlib.suppress(OSError):
                os.rmdir(place)
                return
            try:
                mount.umount(place, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOENT):
                    raise
            with contextlib.suppress(OSError):
                os.rmdir(place)


def mount_image(image: str, place: str) -> None:
    """Mount an image read-only.

    Raises:
        OSError: ENODEV when the kernel has no erofs.
    """
    try:
        mount.mount(image, place, fstype="erofs", flags=MS_RDONLY)
        return
    except OSError as error:
        if error.errno not in _NEEDS_DEVICE:
            raise
    from linux import loop

    fd = os.open(image, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with loop.attached(fd, name=image) as device:
            mount.mount(device, place, fstype="erofs", flags=MS_RDONLY)
    finally:
        os.close(fd)
