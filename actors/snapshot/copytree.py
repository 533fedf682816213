"""Copying a tree of files so that nobody can tell the copy from the original: what `cp -a` does.

Kept are: types, owners, modes, times, extended attributes (capabilities and ACLs among them), hard links within the
tree, devices, FIFOs and holes. Where the file system can, file data is shared (reflink) and not copied.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable

from linux.files import copy_range, data_ranges

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_FICLONE = 0x40049409
"""ioctl(2) FICLONE: share the data of a whole file."""

_NO_REFLINK = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ETXTBSY})
_CAPABILITY = "security.capability"
_REVISION_MASK = 0xFF000000
_REVISION_2 = 0x02000000
_REVISION_3 = 0x03000000
"""Versions of that attribute's value: the kernel's vfs_cap_data and vfs_ns_cap_data."""

_NO_XATTR = frozenset({errno.EOPNOTSUPP, errno.ENODATA})


Owner = Callable[[int, int], tuple[int, int]]
"""User and group of a file in the copy, by those of the original."""


def copy_tree(source: str, target: str, *, owner: Owner | None = None) -> None:
    """Copy a directory with all below it into the directory `target`, which is made.

    Not atomic: on an error the caller removes `target`. Mount points are copied as what is mounted there. Symbolic
    links are copied, never followed.

    Args:
        source: the directory.
        target: the copy.
        owner: whose the files become; by default they keep their owners.

    Raises:
        FileExistsError: `target` exists.
        OSError: the first thing that could not be copied.
    """
    os.mkdir(target, 0o700)
    _Copy(source, target, owner).run()


class _Copy:
    """One copy: both roots as descriptors, and where the first link of each inode went."""

    def __init__(self, source: str, target: str, owner: Owner | None) -> None:
        self._owner = owner
        self._roots = (source, target)
        self._source = self._target = -1
        self._linked: dict[tuple[int, int], str] = {}
        self._reflinks = True

    def run(self) -> None:
        self._source = os.open(self._roots[0], _OPEN_DIRECTORY)
        try:
            self._target = os.open(self._roots[1], _OPEN_DIRECTORY)
            try:
                self._tree()
            finally:
                os.close(self._target)
        finally:
            os.close(self._source)

    def _tree(self) -> None:
        # Paths relative to the roots, since an image may use all the length that a path may have. A directory gets its
        # mode and times last, when nothing is written into it any more.
        directories = ["."]
        for directory in directories:
            fd = os.open(directory, _OPEN_DIRECTORY, dir_fd=self._source)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        path = f"{directory}/{entry.name}"
                        if entry.is_dir(follow_symlinks=False):
                            os.mkdir(path, 0o700, dir_fd=self._target)
                            directories.append(path)
                        else:
                            self._entry(path, entry.stat(follow_symlinks=False))
            finally:
                os.close(fd)
        for directory in reversed(directories):
            status = os.stat(directory, dir_fd=self._source, follow_symlinks=False)
            self._attributes(directory, status)

    def _entry(self, path: str, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            first = self._linked.setdefault(inode, path)
            if first is not path:
                os.link(first, path, src_dir_fd=self._target, dst_dir_fd=self._target, follow_symlinks=False)
                return
        if stat.S_ISREG(status.st_mode):
            self._file(path, status)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(path, dir_fd=self._source), path, dir_fd=self._target)
        else:
            os.mknod(path, status.st_mode, status.st_rdev, dir_fd=self._target)
        self._attributes(path, status)

    def _file(self, path: str, status: os.stat_result) -> None:
        source = os.open(path, _OPEN_SOURCE, dir_fd=self._source)
        try:
            target = os.open(path, _OPEN_TARGET, 0o600, dir_fd=self._target)
            try:
                if not self._reflink(source, target):
                    _copy_data(source, target, status)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _reflink(self, source: int, target: int) -> bool:
        if not self._reflinks:
            return False
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError as error:
            if error.errno not in _NO_REFLINK:
                raise
            self._reflinks = False
            return False
        return True

    def _attributes(self, path: str, status: os.stat_result) -> None:
        target = self._target
        owner = (status.st_uid, status.st_gid)
        if self._owner is not None:
            owner = self._owner(*owner)
        os.chown(path, *owner, dir_fd=target, follow_symlinks=False)
        self._xattrs(path)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, stat.S_IMODE(status.st_mode), dir_fd=target)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _xattrs(self, path: str) -> None:
        # There are no xattr calls relative to a descriptor; its name in /proc leads there whatever the path's length.
        source = f"/proc/self/fd/{self._source}/{path}"
        try:
            names = os.listxattr(source, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_XATTR:
                return
            raise
        for name in names:
            try:
                value = os.getxattr(source, name, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_XATTR:
                    continue
                raise
            if name == _CAPABILITY and self._owner is not None:
                value = _capability_of(value, self._owner(0, 0)[0])
            os.setxattr(f"/proc/self/fd/{self._target}/{path}", name, value, follow_symlinks=False)


def _capability_of(value: bytes, root: int) -> bytes:
    """A file's capabilities as those of a user namespace's: valid where its root is the user `root`."""
    magic = int.from_bytes(value[:4], "little")
    if magic & _REVISION_MASK != _REVISION_2:
        return value
    return (_REVISION_3 | magic & ~_REVISION_MASK).to_bytes(4, "little") + value[4:20] + root.to_bytes(4, "little")


def _copy_data(source: int, target: int, status: os.stat_result) -> None:
    """Copy what is data and leave out what is a hole."""
    os.ftruncate(target, status.st_size)
    for start, end in data_ranges(source, status.st_size):
        copy_range(source, target, size=end - start, source_offset=start, target_offset=start)
