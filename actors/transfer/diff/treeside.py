"""One of the two trees that are compared: everything in it is found by its path, and no link on the way is followed.

The tree may be a running container's: what it does meanwhile can make an answer old, but never lead out of the root.
"""

from __future__ import annotations

import contextlib
import errno
import os

from actors.transfer.unpack.errors import shown
from actors.transfer.unpack.xattrs import is_kept, path_of
from linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2
from wharfie.errors import FailedPrecondition

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_NO_XATTR = frozenset({errno.ENODATA, errno.EOPNOTSUPP, *_GONE})
_SHOWN_BYTES = 64
_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TreeSide:
    """A tree by the descriptor of its root, which stays the caller's. Paths are relative, `b""` is the root.

    Questions are asked about the directory entered last: `enter` it, then ask by name.
    """

    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd
        self._fd = -1

    def enter(self, path: bytes) -> bool:
        """Go to a directory; False when there is none. Raises as `open`."""
        self.leave()
        fd = self._opened(path or b".", _DIRECTORY)
        if fd is None:
            return False
        self._fd = fd
        return True

    def leave(self) -> None:
        """Close what was entered. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def names(self) -> list[bytes]:
        """What the directory holds."""
        return [os.fsencode(name) for name in os.listdir(self._fd)]

    def status(self, name: bytes) -> os.stat_result | None:
        """What stands there, a link itself; None for nothing."""
        try:
            return os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return None

    def link(self, name: bytes) -> bytes:
        """Where a symbolic link leads."""
        return os.readlink(name, dir_fd=self._fd)

    def xattr(self, name: bytes, attribute: str) -> bytes | None:
        """One attribute; None when it is not set. An empty name is the directory itself."""
        return _xattr(path_of(self._fd, name), attribute, follow=not name)

    def xattrs(self, name: bytes) -> dict[bytes, bytes]:
        """The attributes that belong into a layer."""
        return _xattrs(path_of(self._fd, name), follow=not name)

    def xattrs_of(self, fd: int) -> dict[bytes, bytes]:
        """The same of an open file."""
        return _xattrs(path_of(fd), follow=True)

    def open(self, path: bytes) -> int | None:
        """Open a file for reading; None when it is gone. The caller closes it.

        Raises:
            FailedPrecondition: the path is longer than one call of the kernel takes, as no layer could be applied.
        """
        return self._opened(path, _FILE)

    def _opened(self, path: bytes, flags: int) -> int | None:
        try:
            return openat2(path, dir_fd=self.root_fd, flags=flags, resolve=_RESOLVE)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                beginning = shown(path[:_SHOWN_BYTES])
                raise FailedPrecondition(
                    f"the path '/{beginning}…' has {len(path)} bytes, more than can be in a layer; move or remove it",
                    details={"path": beginning},
                ) from None
            # ENXIO: a socket or pipe took its place.
            if error.errno not in {*_GONE, errno.ENXIO}:
                raise
            return None

    def has_same_data(self, name: bytes, other: TreeSide) -> bool:
        """Say whether a file here and its namesake in the directory entered there hold the same bytes."""
        with contextlib.ExitStack() as opened:
            fds = []
            for directory in (self._fd, other._fd):
                try:
                    fds.append(os.open(name, _FILE, dir_fd=directory))
                except OSError as error:
                    if error.errno not in _GONE:
                        raise
                    return False
                opened.callback(os.close, fds[-1])
            return _same(*fds)


def _xattr(path: bytes, attribute: str | bytes, *, follow: bool) -> bytes | None:
    try:
        return os.getxattr(path, attribute, follow_symlinks=follow)
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
        return None


def _xattrs(path: bytes, *, follow: bool) -> dict[bytes, bytes]:
    try:
        found = sorted(os.fsencode(key) for key in os.listxattr(path, follow_symlinks=follow))
    except OSError as error:
        if error.errno not in _NO_XATTR:
            raise
        return {}
    values = {key: _xattr(path, key, follow=follow) for key in found if is_kept(key)}
    return {key: value for key, value in values.items() if value is not None}


def _same(one: int, other: int) -> bool:
    while True:
        first, second = os.read(one, 1 << 20), os.read(other, 1 << 20)
        if first != second:
            return False
        if not first:
            return True
