"""The btrfs snapshotter: every snapshot is a subvolume, made of its parent's without copying anything.

::

    <n>/fs      all files of the snapshot, its parents' included: a subvolume
    <n>/parent  the number of what it was made of

A view makes nothing: its parent is bound read-only. A committed subvolume is frozen by the kernel from the moment that
something stands on it; before that its commit may still be refused, and its owner go on writing.

What a container makes of subvolumes in its own is deleted with it, and not seen in snapshots of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from actors.plugins.context import SkipPlugin
from actors.snapshot.diskusage import measure
from actors.snapshot.idmaps import IdMaps
from actors.snapshot.local import LocalBackend, bind
from actors.snapshot.removal import remove_tree
from linux import btrfs
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_BTRFS = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class Btrfs(LocalBackend):
    """Snapshots as subvolumes.

    Args:
        root: absolute path of this snapshotter's directory.
        flush: write everything to disk before a snapshot counts as committed.

    Raises:
        SkipPlugin: the directory is not on btrfs.
    """

    name = "btrfs"
    copies = True  # making and snapshotting a subvolume waits for the disk

    def __init__(self, root: str, *, flush: bool = True) -> None:
        super().__init__(root, flush=flush)
        _try_subvolume(root)

    def fill(self, building: str, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """See `LocalBackend.fill`."""
        del ids
        files = f"{building}/fs"
        if parents and kind is Kind.ACTIVE:
            parent = self.files(parents[0])
            _set_read_only(parent, read_only=True)
            btrfs.snapshot(parent, files)
            os.symlink(str(parents[0]), f"{building}/parent")
        else:
            btrfs.create(files)
            os.chmod(files, 0o755)

    def mounts(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> list[Mount]:
        """See `Backend.mounts`."""
        del ids
        if kind is Kind.ACTIVE:
            return [bind(self.files(number), writable=True)]
        return [bind(self.files(parents[0] if parents else number), writable=False)]

    def usage(self, number: int) -> Usage:
        """See `Backend.usage`. What is as it was in the parent is shared with it and not counted."""
        try:
            below = self.files(int(os.readlink(f"{self.directories.path(number)}/parent")))
        except FileNotFoundError:
            below = ""
        return measure(self.files(number), below=below)

    def delete(self, path: str) -> None:
        """See `LocalBackend.delete`."""
        files = f"{path}/fs"
        with contextlib.suppress(FileNotFoundError):
            try:
                btrfs.destroy(files)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                _destroy_with_nested(files)
        remove_tree(path)


def _destroy_with_nested(files: str) -> None:
    _set_read_only(files, read_only=False)
    fd = os.open(files, _OPEN)
    try:
        with contextlib.suppress(OSError):
            btrfs.destroy_nested(fd)
    finally:
        os.close(fd)
    try:
        btrfs.destroy(files)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # An old kernel, or subvolumes in read-only ones: file by file.
        remove_tree(files, entering=_thaw)


def _thaw(fd: int) -> None:
    if os.fstat(fd).st_ino == btrfs.ROOT_INODE:
        btrfs.set_read_only(fd, read_only=False)


def _set_read_only(path: str, *, read_only: bool) -> None:
    fd = os.open(path, _OPEN)
    try:
        btrfs.set_read_only(fd, read_only=read_only)
    finally:
        os.close(fd)


def _try_subvolume(root: str) -> None:
    """Make a subvolume and delete it.

    Raises:
        SkipPlugin: with the reason.
    """
    trial = f"{root}/new-trial-{os.getpid()}"
    try:
        btrfs.create(trial)
        btrfs.destroy(trial)
    except OSError as error:
        if error.errno in _NOT_BTRFS:
            raise SkipPlugin(f"directory '{root}' is not on btrfs") from None
        raise SkipPlugin(f"no subvolume can be made in '{root}': {(error.strerror or str(error)).lower()}") from None
