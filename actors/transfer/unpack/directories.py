"""Directories of the target, opened once and kept: the parents of entries.

Every path is looked up by `openat2` with the target as its root, so neither `..` nor a symbolic link, absolute or not,
leads outside, whenever it was made. A kept descriptor stays right until a directory or a symbolic link is removed; then
`forget` is called and the next look-up starts anew.
"""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Self

from actors.transfer.unpack import names, xattrs
from actors.transfer.unpack.errors import UnpackError, shown
from actors.transfer.unpack.removed import Removals
from linux.openat2 import (
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from wharfie.errors import Code

IMPLICIT_MODE = 0o755
KEPT = 256
"""Descriptors kept open at most, the root's apart."""

_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_STRAIGHT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
_IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
_MAX_LINKS = 40


class Directory:
    """One open directory. `fd` is opened with O_PATH: for the `*at` calls, not for reading."""

    __slots__ = ("fd", "inherits", "path")

    def __init__(self, fd: int, path: bytes, *, inherits: bool) -> None:
        self.fd = fd
        self.path = path
        """The real path below the root, free of symbolic links."""
        self.inherits = inherits
        """What is made here gets another group or mode than asked for: the directory is setgid or has a default ACL."""


def is_whiteout(status: os.stat_result) -> bool:
    """Say whether this is overlayfs's mark for something deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


class Directories:
    """The directories below one root; a context manager that closes those it opened, the root not."""

    def __init__(self, root_fd: int, removals: Removals, *, overlay: bool, opaque_xattr: str) -> None:
        self._removals = removals
        self._overlay = overlay
        self._opaque_xattr = opaque_xattr
        self._root_path = os.fsencode(os.readlink(xattrs.path_of(root_fd)))
        self.root = Directory(root_fd, b"", inherits=_inherits(root_fd))
        # An upper directory of overlayfs is empty at first: default ACLs can only come from the root or this layer.
        self._may_have_acls = not overlay or self.root.inherits
        self._kept: dict[bytes, Directory] = {b"": self.root}
        self._implicit: dict[bytes, int] = {}

    def find(self, path: bytes) -> Directory:
        """Return the directory at a clean path. Raises `OSError` (ENOENT, ENOTDIR, ELOOP) when there is none."""
        found = self._kept.get(path)
        if found is None:
            found = self._kept[path] = self._open(path)
        return found

    def make(self, path: bytes) -> Directory:
        """Return the directory at a clean path, making it and those above it where they are missing.

        Raises `UnpackError` when something that is no directory is in the way.
        """
        try:
            return self.find(path)
        except OSError as error:
            # ENOTDIR may be a whiteout, and ENOENT behind a symbolic link that leads nowhere yet.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        self._make_all(path)
        return self.find(path)

    def trim(self) -> None:
        """Close the oldest descriptors when there are too many. Not while a directory handed out is in use."""
        while len(self._kept) > KEPT:
            oldest = next(key for key in self._kept if key)
            os.close(self._kept.pop(oldest).fd)

    def forget(self) -> None:
        """Close all: a path may lead elsewhere now. Directories handed out before must not be used any more."""
        for path, directory in self._kept.items():
            if path:
                os.close(directory.fd)
        self._kept = {b"": self.root}

    def expect_acls(self) -> None:
        """Be told that a directory gets a default ACL, or becomes setgid."""
        self._may_have_acls = True
        self.root.inherits = _inherits(self.root.fd)
        self.forget()

    def is_explicit(self, path: bytes) -> None:
        """Be told that the archive has an entry for the directory at this real path."""
        self._implicit.pop(path, None)

    def implicit(self) -> list[bytes]:
        """Return the real paths of directories that have no entry and are still there, parents first."""
        return sorted(path for path, moment in self._implicit.items() if self._removals.is_there(path, moment))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.forget()

    def _open(self, path: bytes) -> Directory:
        real = path
        try:
            fd = openat2(path, dir_fd=self.root.fd, flags=_OPEN, resolve=_STRAIGHT)
        except OSError as error:
            # A symbolic link on the way is ELOOP, or ENOTDIR when it is the last component.
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            fd = openat2(path, dir_fd=self.root.fd, flags=_OPEN, resolve=_IN_ROOT)
            real = os.readlink(xattrs.path_of(fd))[len(self._root_path) :].strip(b"/")
        inherits = _inherits(fd) if self._may_have_acls else bool(os.fstat(fd).st_mode & stat.S_ISGID)
        return Directory(fd, real, inherits=inherits)

    def _make_all(self, path: bytes) -> None:
        """Walk down `path`, follow what links there are inside the root, and make what is missing."""
        real: list[bytes] = []
        todo = path.split(b"/")[::-1]
        links = 0
        while todo:
            base = todo.pop()
            if base in (b"", b"."):
                continue
            if base == b"..":
                del real[-1:]
                continue
            # A path may be deeper than there are descriptors.
            self.trim()
            here = self.find(b"/".join(real))
            try:
                status = os.stat(base, dir_fd=here.fd, follow_symlinks=False)
            except FileNotFoundError:
                self._make_one(here, base)
            else:
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    if links > _MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    target = os.readlink(base, dir_fd=here.fd)
                    if target.startswith(b"/"):
                        real = []
                    todo += target.split(b"/")[::-1]
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    self._replace_whiteout(here, base, status)
            real.append(base)

    def _replace_whiteout(self, here: Directory, base: bytes, status: os.stat_result) -> None:
        """Make an opaque directory where this layer deleted something; its attributes are no lower layer's."""
        path = names.join(here.path, base)
        if not self._overlay or not is_whiteout(status):
            raise UnpackError(
                Code.INVALID_ARGUMENT,
                f"'{shown(path)}' of the layer is no directory, though entries lie in it",
                {"entry": shown(path)},
            )
        os.unlink(base, dir_fd=here.fd)
        self._make_one(here, base)
        os.setxattr(xattrs.path_of(here.fd, base), self._opaque_xattr, b"y")
        self.is_explicit(path)

    def _make_one(self, here: Directory, base: bytes) -> None:
        os.mkdir(base, IMPLICIT_MODE, dir_fd=here.fd)
        if here.inherits:
            os.chown(base, 0, 0, dir_fd=here.fd, follow_symlinks=False)
            os.chmod(base, IMPLICIT_MODE, dir_fd=here.fd)
        self._implicit[names.join(here.path, base)] = self._removals.made()


def _inherits(fd: int) -> bool:
    if os.fstat(fd).st_mode & stat.S_ISGID:
        return True
    try:
        os.getxattr(xattrs.path_of(fd), xattrs.DEFAULT_ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        return False
    return True
