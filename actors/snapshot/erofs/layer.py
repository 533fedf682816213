"""A layer's archive made into an image, entry by entry, by the rules of the extractor (`transfer/unpack/extract.py`).

Nothing of the host is touched: names are looked up in memory, data goes into one file. What the kernel would refuse is
refused here with the same errors, so that an image shows what a directory would.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from actors.snapshot.erofs import attributes as attributes_of_images
from actors.snapshot.erofs.finishing import finish
from actors.snapshot.erofs.image import Image
from actors.snapshot.erofs.layout import NAME_MAX, FileType, Inode, device_number
from actors.snapshot.erofs.tree import PATH_MAX, Directory, Leaf, Tree, leaf, nid_of
from actors.transfer.unpack import attributes, header, limits, names, whiteouts
from actors.transfer.unpack.archive import Entry, truncated
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import NEEDS_PARENT, UnpackError, shown
from actors.transfer.unpack.limits import Limits
from wharfie.errors import Code

MAX_DIRECTORY_XATTR_BYTES = 64 * 1024 * 1024
"""Attributes of directories are kept in memory until the end."""

_NODES = {
    header.CHARACTER_DEVICE: (stat.S_IFCHR, FileType.CHARACTER_DEVICE),
    header.BLOCK_DEVICE: (stat.S_IFBLK, FileType.BLOCK_DEVICE),
    header.FIFO: (stat.S_IFIFO, FileType.FIFO),
}


class _EntryData:
    """The data of one entry, for `Image.file`."""

    __slots__ = ("_name", "_stream")

    def __init__(self, name: bytes, stream: ByteStream) -> None:
        self._name = name
        self._stream = stream

    def pieces(self, size: int, image: Image, offset: int) -> None:
        piece_of = self._stream.piece
        while size:
            piece = piece_of(size)
            if not piece:
                raise truncated(self._name)
            length = len(piece)
            image.write(offset, piece, length)
            offset += length
            size -= length

    def tail(self, size: int) -> bytes:
        data = self._stream.take(size)
        if len(data) < size:
            raise truncated(self._name)
        return data


class LayerImage:
    """Takes the entries of one layer, then writes what is left. After an error the file is worthless."""

    def __init__(self, fd: int, *, opaque_xattr: str, bounds: Limits) -> None:
        """Args:
        fd: an empty file, open for reading and writing; stays the caller's.
        opaque_xattr: marks directories that hide what the layers below have.
        """
        self._image = Image(fd)
        self._tree = Tree(self._image.link_target)
        self._opaque_xattr = opaque_xattr.encode()
        self._bounds = bounds
        self._directory_xattr_bytes = 0
        self.entries = 0

    def apply(self, entry: Entry, stream: ByteStream) -> None:
        """Apply one entry, reading its data from `stream`.

        Raises `UnpackError` for what the entry must not say, and `OSError` for what a kernel would refuse.
        """
        self.entries += 1
        if self.entries > self._bounds.entries:
            raise limits.exceeded("entries", self._bounds.entries, unit="entries")
        path = names.clean(entry.name)
        # The root itself is the snapshot's, as in containerd.
        if not path:
            return
        parent, _, base = path.rpartition(b"/")
        if b".wh." in path:
            if whiteouts.is_foreign_meta(path):
                return
            if base.startswith(whiteouts.PREFIX):
                self._whiteout(parent, base, path)
                return
        directory = self._tree.find(parent, make=True)
        if len(base) > NAME_MAX or directory.path_bytes >= PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        kind = entry.kind
        if kind == header.REGULAR:
            self._file(entry, directory, base, stream)
        elif kind == header.DIRECTORY:
            self._directory(entry, directory, base)
        elif kind == header.HARDLINK:
            self._hardlink(entry, directory, base)
        else:
            self._special(entry, directory, base)

    def finish(self, *, uuid: bytes) -> list[bytes]:
        """Write what is left and return the paths of directories that no entry describes. The last call."""
        finish(self._image, self._tree, opaque_xattr=self._opaque_xattr, uuid=uuid)
        return self._tree.implicit()

    def _whiteout(self, parent: bytes, base: bytes, path: bytes) -> None:
        name = b"" if base == whiteouts.OPAQUE else whiteouts.hidden_name(base, path)
        directory = self._tree.find(parent, make=True)
        there = directory.children.get(name)
        if not name:
            directory.opaque = True
        elif isinstance(there, Directory):
            # It is this layer's. A file hides what is below by itself, a directory has to be told.
            there.opaque, there.implicit = True, False
        elif there is None:
            self._put_whiteout(directory, name)

    def _put_whiteout(self, directory: Directory, name: bytes) -> None:
        tree = self._tree
        if not tree.whiteout:
            nid = self._image.special(Inode(layout=0, mode=stat.S_IFCHR), b"")
            tree.whiteout = leaf(nid, FileType.CHARACTER_DEVICE)
            tree.links[nid] = 0
        tree.put(directory, name, tree.whiteout)
        tree.links[nid_of(tree.whiteout)] += 1

    def _file(self, entry: Entry, directory: Directory, base: bytes, stream: ByteStream) -> None:
        if entry.real_size > self._bounds.file_bytes:
            raise limits.exceeded("file_bytes", self._bounds.file_bytes)
        inode = _inode(entry, stat.S_IFREG | entry.mode, size=entry.real_size)
        xattrs = _encoded(entry.xattrs, inode.mode)
        data = _EntryData(entry.name, stream)
        if entry.segments is None:
            nid = self._image.file(inode, xattrs, data)
        else:
            nid, start = self._image.sparse(inode, xattrs)
            for offset, length in entry.segments:
                data.pieces(length, self._image, start + offset)
        self._tree.put(directory, base, leaf(nid, FileType.REGULAR))

    def _directory(self, entry: Entry, parent: Directory, base: bytes) -> None:
        uid, gid = attributes.owner(entry)
        mode = stat.S_IFDIR | entry.mode
        xattrs = attributes_of_images.of_archive(entry.xattrs, mode) if entry.xattrs else None
        there = parent.children.get(base)
        directory = there if isinstance(there, Directory) else self._tree.make_directory(parent, base)
        directory.implicit = False
        directory.mode, directory.uid, directory.gid = entry.mode, uid, gid
        directory.mtime_ns = attributes.times(entry)[1]
        if xattrs:
            self._directory_xattr_bytes += sum(len(name) + len(value) for name, value in xattrs.items())
            if self._directory_xattr_bytes > MAX_DIRECTORY_XATTR_BYTES:
                raise limits.exceeded("directory_xattr_bytes", MAX_DIRECTORY_XATTR_BYTES)
            directory.xattrs = {**(directory.xattrs or {}), **xattrs}
            attributes_of_images.encode(directory.xattrs)  # too much of it is this entry's fault

    def _hardlink(self, entry: Entry, directory: Directory, base: bytes) -> None:
        """Give one more name to what the entry names; a symbolic link at its end is meant itself."""
        parent, target = names.split(names.clean(entry.link))
        tree = self._tree
        try:
            source = tree.find(parent)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            raise _leads_nowhere(entry) from None
        what = source.children.get(target)
        if what is None or isinstance(what, Directory) or tree.is_whiteout(what):
            raise _leads_nowhere(entry)
        there = directory.children.get(base)
        if there == what:
            return
        if isinstance(there, Directory) and _is_in(source, there):
            # Making room for the link removes what it leads to.
            raise _leads_nowhere(entry)
        tree.link(what)
        tree.put(directory, base, what)

    def _special(self, entry: Entry, directory: Directory, base: bytes) -> None:
        what: Leaf
        if entry.kind == header.SYMLINK:
            _check_target(entry.link)
            inode = _inode(entry, stat.S_IFLNK | 0o777, size=len(entry.link))
            nid = self._image.special(inode, _encoded(entry.xattrs, inode.mode), entry.link)
            what = leaf(nid, FileType.SYMLINK)
        else:
            kind, file_type = _NODES[entry.kind]
            major, minor = (0, 0) if kind == stat.S_IFIFO else attributes.device(entry)
            inode = _inode(entry, kind | entry.mode)._replace(place=device_number(major, minor))
            xattrs = _encoded(entry.xattrs, inode.mode)
            if kind == stat.S_IFCHR and not major and not minor:
                # What overlayfs takes for a deletion, however it came here.
                if not self._tree.is_whiteout(directory.children.get(base)):
                    self._put_whiteout(directory, base)
                return
            what = leaf(self._image.special(inode, xattrs), file_type)
        self._tree.put(directory, base, what)


def _inode(entry: Entry, mode: int, *, size: int = 0) -> Inode:
    uid, gid = attributes.owner(entry)
    return Inode(layout=0, mode=mode, size=size, uid=uid, gid=gid, mtime_ns=attributes.times(entry)[1])


def _encoded(given: Mapping[bytes, bytes] | None, mode: int) -> bytes:
    return attributes_of_images.encode(attributes_of_images.of_archive(given, mode)) if given else b""


def _check_target(target: bytes) -> None:
    if not target:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    if len(target) >= PATH_MAX:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))


def _is_in(directory: Directory, other: Directory) -> bool:
    """Whether one directory is another one, or lies in it."""
    here: Directory | None = directory
    while here is not None:
        if here is other:
            return True
        here = here.parent
    return False


def _leads_nowhere(entry: Entry) -> UnpackError:
    return UnpackError(
        Code.INVALID_ARGUMENT,
        f"hard link '{shown(entry.name)}' of the layer leads to '{shown(entry.link)}', which is no file of it",
        {"entry": shown(entry.name), "link": shown(entry.link), "reason": NEEDS_PARENT},
    )
