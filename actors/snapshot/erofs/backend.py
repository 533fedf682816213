"""The erofs snapshotter: a layer is an image, a stack of layers is one overlay over their mounts.

::

    <n>/layer.erofs   a committed snapshot: all that this layer adds, or takes away
    <n>/layer/        where that image is mounted, once somebody needs it
    <n>/fs, <n>/work  an active snapshot, as with overlayfs

Layers that are unpacked become images as they are read (`job.py`); what a container or a client has written becomes one
at its commit. Images are mounted here when a snapshot is prepared on them or its mounts are asked for, so that a list
of mounts has nothing but directories in it and whoever mounts it needs to know nothing of images. They stay mounted
until they are removed or the daemon stops in order: a mount survives the death of this process, and containers keep
what they use in any case.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Collection, Sequence

from actors.plugins.context import SkipPlugin
from actors.snapshot.erofs.mounts import IMAGE, UNFINISHED, ImageMounts, mount_image
from actors.snapshot.idmaps import IdMaps
from actors.snapshot.overlayfs import Overlayfs
from actors.snapshot.removal import remove_tree
from linux import mount
from wharfie import failpoint
from wharfie.errors import DataLoss, FailedPrecondition
from wharfie.types.snapshots import Kind, Usage

log = logging.getLogger("snapshot")

_PLACE = "layer"
_BLOCK_UNIT_BYTES = 512
_BROKEN = frozenset({errno.EINVAL, errno.EUCLEAN, errno.EIO})
_NO_ROOM = frozenset({errno.E2BIG, errno.ERANGE, errno.ENAMETOOLONG, errno.EFBIG})
_REMEDY = "remove the snapshots above it and unpack the image again"


class Erofs(Overlayfs):
    """Snapshots as images. Arguments and errors as for `Overlayfs`; skipped also where images cannot be mounted."""

    name = "erofs"
    copies = True  # mounting a stack of images takes milliseconds

    def __init__(
        self, root: str, *, mount_options: Sequence[str] = (), flush: bool = True, slow_chown: bool = False
    ) -> None:
        super().__init__(root, mount_options=mount_options, flush=flush, slow_chown=slow_chown)
        _try_image(root)
        self._mounts = ImageMounts()

    def image(self, number: int) -> str:
        """The image of a committed snapshot."""
        return f"{self.directories.path(number)}/{IMAGE}"

    def layer(self, number: int) -> str:
        """See `LocalBackend.layer`."""
        return f"{self.directories.path(number)}/{_PLACE}"

    def prepare(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """See `Backend.prepare`. Mounts the layers below where they are not mounted.

        Raises:
            DataLoss: the image of one of the parents is gone or broken.
            FailedPrecondition: it cannot be mounted.
        """
        for parent in parents:
            self._show(parent)
        super().prepare(number, parents, kind, ids)

    def commit(self, number: int) -> Usage:
        """See `Backend.commit`. What lies in the upper directory becomes the image."""
        upper = self.files(number)
        if os.path.isdir(upper):
            self._write_image(upper, number)
        elif self._flush:
            _flush(self.image(number))
            _flush(self.directories.path(number))
        return _usage_of(self.image(number))

    def commit_at_once(self, number: int) -> Usage | None:
        """See `Backend.commit_at_once`. Making an image takes its time."""
        del number
        return None

    def usage(self, number: int) -> Usage:
        """See `Backend.usage`."""
        return super().usage(number) if os.path.isdir(self.files(number)) else _usage_of(self.image(number))

    def remove(self, number: int) -> None:
        """See `Backend.remove`."""
        self._mounts.hide(self.layer(number))
        super().remove(number)

    def cleanup(self, known: Collection[int], highest: int) -> int:
        """See `Backend.cleanup`."""
        for number in self.directories.numbers():
            if number <= highest and number not in known:
                self._mounts.hide(self.layer(number))
        return super().cleanup(known, highest)

    def intact(self) -> list[int]:
        """See `Backend.intact`. An image that is gone or cut off does not count."""
        return [number for number in self.directories.numbers() if _is_whole(self.image(number))]

    def restore(self, number: int, lost: int) -> None:
        """See `Backend.restore`. A directory without a whole image is put away first."""
        if not _is_whole(self.image(lost)):
            self.remove(lost)
        super().restore(number, lost)

    def close(self) -> None:
        """See `Backend.close`. Unmounts all images."""
        for number in self.directories.numbers():
            self._mounts.hide(self.layer(number))

    def _show(self, number: int) -> None:
        image = self.image(number)
        try:
            if not self._mounts.show(image, self.layer(number)):
                return
        except OSError as error:
            if not os.path.exists(image):
                raise DataLoss(f"image '{image}' is gone; {_REMEDY}") from None
            reason = (error.strerror or str(error)).lower()
            if error.errno in _BROKEN:
                raise DataLoss(f"image '{image}' is broken ({reason}); {_REMEDY}") from None
            raise FailedPrecondition(f"image '{image}' cannot be mounted: {reason}") from None
        # It has children, so it is committed, and nobody needs any more what its image was made from.
        for name in (self.files(number), f"{self.directories.path(number)}/work"):
            try:
                remove_tree(name)
            except OSError as error:
                log.warning("directory '%s' is needed no more and cannot be deleted: %s", name, error)

    def _write_image(self, upper: str, number: int) -> None:
        import uuid

        from actors.snapshot.erofs.upper import write_image

        # A later commit of the same snapshot, when this one is refused its name, makes the image anew.
        unfinished = f"{self.directories.path(number)}/{UNFINISHED}"
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_image(upper, fd, uuid=uuid.uuid4().bytes)
            if self._flush:
                os.fsync(fd)
            failpoint.hit("erofs.commit.written")
            os.rename(unfinished, self.image(number))
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                reason = (error.strerror or str(error)).lower()
                raise FailedPrecondition(
                    f"files of snapshot number {number} have no room in an image: {reason}"
                ) from None
            raise
        finally:
            os.close(fd)
        if self._flush:
            _flush(self.directories.path(number))


def _flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _usage_of(image: str) -> Usage:
    """What an image takes up, and how many inodes are in it."""
    from actors.snapshot.erofs.layout import BLOCK_BYTES, inode_count

    with open(image, "rb") as file:
        size = os.fstat(file.fileno()).st_blocks * _BLOCK_UNIT_BYTES
        try:
            return Usage(size=size, inodes=inode_count(file.read(BLOCK_BYTES)))
        except ValueError as error:
            raise DataLoss(f"image '{image}' is broken ({error}); {_REMEDY}") from None


def _is_whole(image: str) -> bool:
    """Whether an image is there, begins as one and has the size that it says."""
    from actors.snapshot.erofs.layout import BLOCK_BYTES, block_count

    try:
        with open(image, "rb") as file:
            return block_count(file.read(BLOCK_BYTES)) * BLOCK_BYTES == os.fstat(file.fileno()).st_size
    except (FileNotFoundError, ValueError):
        return False


def _try_image(root: str) -> None:
    """Mount an image with nothing in it.

    Raises:
        SkipPlugin: with what the kernel said.
    """
    from actors.snapshot.erofs import layout

    trial = f"{root}/new-trial-{os.getpid()}"
    os.makedirs(f"{trial}/{_PLACE}", mode=0o700)
    try:
        with open(f"{trial}/{IMAGE}", "wb") as file:
            file.write(layout.empty_image())
        mount_image(f"{trial}/{IMAGE}", f"{trial}/{_PLACE}")
        mount.umount(f"{trial}/{_PLACE}")
    except OSError as error:
        reason = "this kernel has no erofs" if error.errno == errno.ENODEV else (error.strerror or str(error)).lower()
        raise SkipPlugin(f"images cannot be mounted on '{root}': {reason}") from None
    finally:
        remove_tree(trial)
