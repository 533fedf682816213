"""The files of a directory that is an OCI layout, as `tarindex.py` has the members of a tar.

Nothing outside the directory is opened.
"""

from __future__ import annotations

import errno
import os
import stat

from actors.transfer.plan import Source
from actors.transfer.tarindex import Member, normalized
from linux.openat2 import RESOLVE_BENEATH, openat2
from wharfie.errors import InvalidArgument, NotFound


class DirectoryIndex:
    """The regular files below a directory.

    Args:
        fd: of the directory; stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._sizes: dict[str, int | None] = {}

    def find(self, name: str) -> Member | None:
        """A file's size; None when there is no such file."""
        if name not in self._sizes:
            self._sizes[name] = self._size(name)
        size = self._sizes[name]
        return None if size is None else Member(0, size)

    def source(self, name: str) -> Source | None:
        """Where a file's bytes are: in the file itself."""
        member = self.find(name)
        return None if member is None else Source(length=member.size, member=name)

    def read(self, name: str, *, limit: int) -> bytes:
        """A file whole.

        Raises:
            NotFound: there is no such file.
            InvalidArgument: it is larger than `limit` bytes.
        """
        try:
            fd = open_beneath(self._fd, name)
        except OSError:
            raise NotFound(f"directory has no file '{name[:256]}'", details={"member": name[:256]}) from None
        with open(fd, "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InvalidArgument(f"file '{name[:256]}' of the directory has more than {limit} bytes")
        return data

    def _size(self, name: str) -> int | None:
        try:
            fd = open_beneath(self._fd, name)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EXDEV, errno.ELOOP, errno.EINVAL):
                return None
            raise
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)


def open_beneath(directory: int, name: str) -> int:
    """Open a regular file below a directory for reading; links that lead out of it are not followed.

    Raises:
        OSError: EINVAL when it is no regular file.
    """
    wanted = normalized(name)
    if wanted is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    fd = openat2(wanted, dir_fd=directory, flags=flags, resolve=RESOLVE_BENEATH)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    return fd
