"""An image of a directory that was written to: the upper one of overlayfs becomes a layer like any other.

Everything is kept, overlay's own marks too, but for those that only make sense in the directory they were set in. What
is changed meanwhile is seen before or after; no symbolic link is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from actors.snapshot.erofs import attributes
from actors.snapshot.erofs.finishing import finish
from actors.snapshot.erofs.image import Image
from actors.snapshot.erofs.layout import FileType, Inode, device_number
from actors.snapshot.erofs.tree import Directory, Leaf, Tree, leaf, nid_of
from linux.files import data_ranges
from linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_OVERLAY = ("trusted.overlay.", "user.overlay.")
_PLACES = frozenset({"origin", "impure", "nlink", "uuid"})
"""What overlayfs notes about the directory beneath it, and not about the layer."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_TYPES = {
    stat.S_IFCHR: FileType.CHARACTER_DEVICE,
    stat.S_IFBLK: FileType.BLOCK_DEVICE,
    stat.S_IFIFO: FileType.FIFO,
    stat.S_IFSOCK: FileType.SOCKET,
}


def write_image(directory: str, fd: int, *, uuid: bytes) -> None:
    """Write an image of all that lies in a directory into an empty file. Blocks; after an error the file is worthless.

    Raises:
        OSError: something cannot be read, or the disk is full.
    """
    root = os.open(directory, _DIRECTORY)
    try:
        _Walk(root, fd).run(uuid)
    finally:
        os.close(root)


class _FileData:
    """The data of an open file, for `Image.file`; what was cut off meanwhile is zeros."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def pieces(self, size: int, image: Image, offset: int) -> None:
        for start, end in data_ranges(self._fd, size):
            image.copy(self._fd, start, end - start, offset + start)

    def tail(self, size: int) -> bytes:
        return os.pread(self._fd, size, self._size - size).ljust(size, b"\0")


class _Walk:
    """One walk over a tree."""

    def __init__(self, root: int, fd: int) -> None:
        self._root = root
        self._image = Image(fd)
        self._tree = Tree(self._image.link_target)
        self._linked: dict[tuple[int, int], Leaf] = {}

    def run(self, uuid: bytes) -> None:
        todo = [(self._tree.root, b".")]
        while todo:
            directory, path = todo.pop()
            try:
                here = openat2(path, dir_fd=self._root, flags=_DIRECTORY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
            except OSError as error:
                if error.errno not in _GONE:
                    raise
                continue
            try:
                self._describe(directory, here)
                for name in sorted(os.fsencode(entry) for entry in os.listdir(here)):
                    made = self._add(directory, here, name)
                    if made is not None:
                        todo.append((made, path + b"/" + name))
            finally:
                os.close(here)
        finish(self._image, self._tree, opaque_xattr=b"", uuid=uuid)

    def _describe(self, directory: Directory, fd: int) -> None:
        status = os.fstat(fd)
        directory.mode = stat.S_IMODE(status.st_mode)
        directory.uid, directory.gid = status.st_uid, status.st_gid
        directory.mtime_ns = status.st_mtime_ns
        directory.xattrs = _xattrs(b"/proc/self/fd/%d" % fd, follow=True) or None

    def _add(self, parent: Directory, here: int, name: bytes) -> Directory | None:
        """Add what has this name; returns a directory, which is to be walked."""
        try:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return self._tree.make_directory(parent, name)
            what = self._linked.get((status.st_dev, status.st_ino))
            if what is not None:
                self._tree.link(what)
            else:
                what = self._leaf(here, name, status)
                if status.st_nlink > 1:
                    self._linked[status.st_dev, status.st_ino] = what
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return None
        self._tree.put(parent, name, what)
        return None

    def _leaf(self, here: int, name: bytes, status: os.stat_result) -> Leaf:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            return self._file(here, name)
        if kind == stat.S_IFCHR and status.st_rdev == 0:
            return self._whiteout()
        inode = _inode(status)
        xattrs = attributes.encode(_xattrs(b"/proc/self/fd/%d/%b" % (here, name), follow=False))
        if kind == stat.S_IFLNK:
            target = os.readlink(name, dir_fd=here)
            return leaf(self._image.special(inode._replace(size=len(target)), xattrs, target), FileType.SYMLINK)
        return leaf(self._image.special(inode, xattrs), _TYPES[kind])

    def _file(self, here: int, name: bytes) -> Leaf:
        fd = os.open(name, _FILE, dir_fd=here)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            inode = _inode(status)._replace(size=status.st_size)
            xattrs = attributes.encode(_xattrs(b"/proc/self/fd/%d" % fd, follow=True))
            return leaf(self._image.file(inode, xattrs, _FileData(fd, status.st_size)), FileType.REGULAR)
        finally:
            os.close(fd)

    def _whiteout(self) -> Leaf:
        tree = self._tree
        if not tree.whiteout:
            tree.whiteout = leaf(
                self._image.special(Inode(layout=0, mode=stat.S_IFCHR), b""), FileType.CHARACTER_DEVICE
            )
            tree.links[nid_of(tree.whiteout)] = 0
        tree.links[nid_of(tree.whiteout)] += 1
        return tree.whiteout


def _inode(status: os.stat_result) -> Inode:
    return Inode(
        layout=0,
        mode=status.st_mode,
        place=device_number(os.major(status.st_rdev), os.minor(status.st_rdev)),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
    )


def _xattrs(path: bytes, *, follow: bool) -> dict[bytes, bytes]:
    found = {}
    for name in os.listxattr(path, follow_symlinks=follow):
        if name.startswith(_OVERLAY) and name.rpartition(".")[2] in _PLACES:
            continue
        try:
            found[os.fsencode(name)] = os.getxattr(path, name, follow_symlinks=follow)
        except OSError as error:
            # Removed meanwhile, or listed by a file system that does not tell it.
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
    return found
