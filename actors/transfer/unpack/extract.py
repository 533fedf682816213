"""Applying entries below a root directory, one after the other.

The rules: whatever an entry is called, it lands below the root; symbolic links are made as they are and never followed
by what changes something; an entry takes the place of what is there, only a directory keeps a directory. Each thing is
made, then owned, then given its xattrs (capabilities do not survive a change of owner), its mode and its times; the
times of directories come last of all, when nothing is made in them any more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from actors.transfer.unpack import attributes, header, limits, names, tree, whiteouts, xattrs
from actors.transfer.unpack.archive import Entry, truncated
from actors.transfer.unpack.attributes import SPECIAL_BITS
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.directories import Directories, Directory, is_whiteout
from actors.transfer.unpack.errors import NEEDS_PARENT, UnpackError, shown
from actors.transfer.unpack.limits import Limits
from actors.transfer.unpack.messages import Whiteouts
from actors.transfer.unpack.removed import Removals
from actors.transfer.unpack.whiteouts import Deleter, OverlayDeleter, PlainDeleter
from wharfie.errors import Code

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE_MODE = 0o600
_NODE_TYPES = {
    header.CHARACTER_DEVICE: stat.S_IFCHR,
    header.BLOCK_DEVICE: stat.S_IFBLK,
    header.FIFO: stat.S_IFIFO,
}


class Extractor:
    """Applies the entries of one layer. Needs an umask of 0 and the root's privileges over files.

    The owner of `root_fd` is the caller. After an error the tree is whatever it had become.
    """

    def __init__(
        self, root_fd: int, *, mode: Whiteouts, userxattr: bool, bounds: Limits, skip_devices: bool = False
    ) -> None:
        opaque_xattr = xattrs.opaque_name(userxattr=userxattr)
        self._opaque_xattr = opaque_xattr
        self._bounds = bounds
        self._skip_devices = skip_devices
        self._removals = Removals()
        self._directories = Directories(
            root_fd, self._removals, overlay=mode is Whiteouts.OVERLAY, opaque_xattr=opaque_xattr
        )
        self._deleter: Deleter = (
            OverlayDeleter(self._directories, opaque_xattr=opaque_xattr)
            if mode is Whiteouts.OVERLAY
            else PlainDeleter(self._directories, self._removals)
        )
        self._has_memory = mode is Whiteouts.PLAIN
        self._times: dict[bytes, tuple[int, tuple[int, int]]] = {}
        self._self = (os.geteuid(), os.getegid())
        self.entries = 0
        self.skipped_xattrs = 0

    def close(self) -> None:
        """Close the descriptors; idempotent."""
        self._directories.forget()

    def apply(self, entry: Entry, stream: ByteStream) -> None:
        """Apply one entry, reading its data from `stream`.

        Raises `UnpackError` for what the entry must not say, and `OSError` for what the kernel refuses.
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
        self._directories.trim()
        directory = self._directories.make(parent)
        kind = entry.kind
        if kind == header.REGULAR:
            self._file(entry, directory, base, stream)
        elif kind == header.DIRECTORY:
            self._directory(entry, directory, base)
        elif kind == header.SYMLINK:
            self._symlink(entry, directory, base)
        elif kind == header.HARDLINK:
            self._hardlink(entry, directory, base)
        else:
            self._node(entry, directory, base)
        if self._has_memory:
            self._deleter.made(names.join(self._directories.make(parent).path, base))

    def finish(self) -> list[bytes]:
        """Set the times of directories and return the implicit ones. The last call."""
        for path, (moment, times) in self._times.items():
            if self._removals.is_there(path, moment):
                self._directories.trim()
                parent, base = names.split(path)
                os.utime(base, ns=times, dir_fd=self._directories.find(parent).fd, follow_symlinks=False)
        return self._directories.implicit()

    def _whiteout(self, parent: bytes, base: bytes, path: bytes) -> None:
        self._directories.trim()
        name = b"" if base == whiteouts.OPAQUE else whiteouts.hidden_name(base, path)
        directory = self._directories.make(parent)
        # A directory with a whiteout in it is one that this layer has, even if it has nothing else there.
        self._deleter.made(directory.path)
        if name:
            self._deleter.hide(directory, name)
        else:
            self._deleter.hide_all(directory)

    def _file(self, entry: Entry, directory: Directory, base: bytes, stream: ByteStream) -> None:
        if entry.real_size > self._bounds.file_bytes:
            raise limits.exceeded("file_bytes", self._bounds.file_bytes)
        owner = attributes.owner(entry)
        mode = entry.mode
        # Nothing but open() then has to deal with the mode: the way of nearly every file.
        is_simple = not (mode & SPECIAL_BITS or entry.xattrs or directory.inherits)
        created = mode if is_simple else _PRIVATE_MODE
        try:
            fd = os.open(base, _CREATE, created, dir_fd=directory.fd)
        except FileExistsError:
            directory = self._make_room(directory, base)
            fd = os.open(base, _CREATE, created, dir_fd=directory.fd)
        try:
            if entry.segments is not None:
                _write_segments(fd, entry, stream)
            else:
                left = entry.size
                while left:
                    piece = stream.piece(left)
                    if not piece:
                        raise truncated(entry.name)
                    left -= len(piece)
                    written = os.write(fd, piece)
                    while written < len(piece):
                        written += os.write(fd, piece[written:])
            if owner != self._self or directory.inherits:
                os.fchown(fd, *owner)
            if not is_simple:
                if entry.xattrs:
                    self.skipped_xattrs += xattrs.apply(fd, entry.xattrs)
                os.fchmod(fd, mode)
            os.utime(fd, ns=attributes.times(entry))
        finally:
            os.close(fd)

    def _directory(self, entry: Entry, directory: Directory, base: bytes) -> None:
        owner = attributes.owner(entry)
        is_new, is_opaque = True, False
        try:
            os.mkdir(base, entry.mode, dir_fd=directory.fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=directory.fd, follow_symlinks=False)
            is_new = not stat.S_ISDIR(status.st_mode)
            if is_new:
                # What stood here, a whiteout or a file, hid what is below; so does the directory.
                is_opaque = self._deleter.leaves_marks
                directory = self._make_room(directory, base)
                os.mkdir(base, entry.mode, dir_fd=directory.fd)
        path = names.join(directory.path, base)
        self._times[path] = (self._removals.made(), attributes.times(entry))
        self._directories.is_explicit(path)
        needs_more = is_opaque or bool(entry.xattrs) or directory.inherits or bool(entry.mode & SPECIAL_BITS)
        if is_new and owner == self._self and not needs_more:
            return
        fd = os.open(base, _OPEN_DIRECTORY, dir_fd=directory.fd)
        try:
            os.fchown(fd, *owner)
            if is_opaque:
                os.setxattr(fd, self._opaque_xattr, b"y")
            if entry.xattrs:
                self.skipped_xattrs += xattrs.apply(fd, entry.xattrs)
            os.fchmod(fd, entry.mode)
        finally:
            os.close(fd)
        if entry.mode & stat.S_ISGID or (entry.xattrs and xattrs.DEFAULT_ACL in entry.xattrs) or not is_new:
            self._directories.expect_acls()

    def _symlink(self, entry: Entry, directory: Directory, base: bytes) -> None:
        directory = self._in_place(directory, base, lambda fd: os.symlink(entry.link, base, dir_fd=fd))
        self._finish_special(entry, directory, base)

    def _hardlink(self, entry: Entry, directory: Directory, base: bytes) -> None:
        """Link to what the entry names; a symbolic link at its end is linked itself. The inode keeps its attributes."""
        target = names.clean(entry.link)
        parent, target_base = names.split(target)

        def link(fd: int) -> None:
            source = self._directories.find(parent)
            os.link(target_base, base, src_dir_fd=source.fd, dst_dir_fd=fd, follow_symlinks=False)

        try:
            source = os.stat(target_base, dir_fd=self._directories.find(parent).fd, follow_symlinks=False)
            if stat.S_ISDIR(source.st_mode):
                raise IsADirectoryError
            if self._deleter.leaves_marks and is_whiteout(source):
                raise FileNotFoundError
            try:
                link(directory.fd)
            except FileExistsError:
                there = os.stat(base, dir_fd=directory.fd, follow_symlinks=False)
                if (there.st_dev, there.st_ino) == (source.st_dev, source.st_ino):
                    return
                link(self._make_room(directory, base).fd)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise UnpackError(
                Code.INVALID_ARGUMENT,
                f"hard link '{shown(entry.name)}' of the layer leads to '{shown(entry.link)}', which is no file of it",
                {
                    "entry": shown(entry.name),
                    "link": shown(entry.link),
                    **({"reason": NEEDS_PARENT} if self._deleter.leaves_marks else {}),
                },
            ) from None

    def _node(self, entry: Entry, directory: Directory, base: bytes) -> None:
        kind = _NODE_TYPES[entry.kind]
        if self._skip_devices and kind != stat.S_IFIFO:
            return
        device = 0 if kind == stat.S_IFIFO else os.makedev(*attributes.device(entry))
        mode = kind | (entry.mode & ~SPECIAL_BITS)
        directory = self._in_place(directory, base, lambda fd: os.mknod(base, mode, device, dir_fd=fd))
        self._finish_special(entry, directory, base)

    def _in_place(self, directory: Directory, base: bytes, create: Callable[[int], None]) -> Directory:
        """Make something by `create`, given the directory's descriptor, in place of what is there."""
        try:
            create(directory.fd)
        except FileExistsError:
            directory = self._make_room(directory, base)
            create(directory.fd)
        return directory

    def _finish_special(self, entry: Entry, directory: Directory, base: bytes) -> None:
        """Give attributes to what cannot be opened: links, devices, pipes. None of the calls follows a link."""
        owner = attributes.owner(entry)
        if owner != self._self or directory.inherits:
            os.chown(base, *owner, dir_fd=directory.fd, follow_symlinks=False)
        if entry.xattrs:
            path = xattrs.path_of(directory.fd, base)
            self.skipped_xattrs += xattrs.apply(path, entry.xattrs, is_special=True)
        if entry.kind != header.SYMLINK and (directory.inherits or entry.xattrs or entry.mode & SPECIAL_BITS):
            # Just made by ourselves, and no link: chmod, which would follow one, is safe.
            os.chmod(base, entry.mode, dir_fd=directory.fd)
        os.utime(base, ns=attributes.times(entry), dir_fd=directory.fd, follow_symlinks=False)

    def _make_room(self, directory: Directory, base: bytes) -> Directory:
        """Remove what stands at `base`; return the directory, which may have been opened anew."""
        status = os.stat(base, dir_fd=directory.fd, follow_symlinks=False)
        tree.remove(base, dir_fd=directory.fd)
        if not (stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            return directory
        # Paths may lead elsewhere now.
        path = directory.path
        self._removals.note(names.join(path, base))
        self._directories.forget()
        return self._directories.find(path)


def _write_segments(fd: int, entry: Entry, stream: ByteStream) -> None:
    os.ftruncate(fd, entry.real_size)
    for offset, length in entry.segments or ():
        position, left = offset, length
        while left:
            piece = stream.piece(left)
            if not piece:
                raise truncated(entry.name)
            left -= len(piece)
            while piece:
                written = os.pwrite(fd, piece, position)
                position += written
                piece = piece[written:]
