"""Subvolumes of btrfs, by ioctl(2): made, copied, frozen and deleted without a program.

Source: the kernel's uapi/linux/btrfs.h and btrfs_tree.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator

_SUBVOL_CREATE_V2 = 0x50009418
_SNAP_CREATE_V2 = 0x50009417
_SNAP_DESTROY = 0x5000940F
_SNAP_DESTROY_V2 = 0x5000943F
_SUBVOL_GETFLAGS = 0x80089419
_SUBVOL_SETFLAGS = 0x4008941A
_TREE_SEARCH = 0xD0009411
_INO_LOOKUP = 0xD0009412

_RDONLY = 1 << 1
_SPEC_BY_ID = 1 << 4

ROOT_INODE = 256
"""Inode number of the root of every subvolume (BTRFS_FIRST_FREE_OBJECTID)."""

_ROOT_TREE = 1
_ROOT_REF = 156
_MAX_U64 = (1 << 64) - 1

_ARGS = struct.Struct("<q4088s")
_ARGS_V2 = struct.Struct("<qQQ32s4040s")
_ID_ARGS = struct.Struct("<qQQ32sQ4032x")
_LOOKUP = struct.Struct("<QQ4080x")
_SEARCH = struct.Struct("<QQQQQQQIIII32x3992x")
_SEARCH_BYTES = 104
_FOUND = struct.Struct("<QQQII")

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create(path: str) -> None:
    """Make an empty subvolume.

    Raises:
        FileExistsError: there is something.
        OSError: ENOTTY (or EOPNOTSUPP) where it is not btrfs.
    """
    _at_parent(path, _SUBVOL_CREATE_V2, lambda name: _ARGS_V2.pack(0, 0, 0, b"", name))


def snapshot(source: str, path: str) -> None:
    """Make a writable snapshot of a subvolume; subvolumes in it become empty directories.

    Raises:
        FileExistsError: there is something at `path`.
        OSError: EINVAL when `source` is no subvolume, EXDEV when it is of another file system.
    """
    fd = os.open(source, _OPEN)
    try:
        _at_parent(path, _SNAP_CREATE_V2, lambda name: _ARGS_V2.pack(fd, 0, 0, b"", name))
    finally:
        os.close(fd)


def destroy(path: str) -> None:
    """Delete a subvolume, also a read-only one, with all the files in it, at once.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: ENOTEMPTY when it has other subvolumes, EINVAL when it is none.
    """
    _at_parent(path, _SNAP_DESTROY, lambda name: _ARGS.pack(0, name))


def set_read_only(fd: int, *, read_only: bool = True) -> None:
    """Freeze a subvolume, or let it be written again. Idempotent.

    Args:
        fd: of its root.
        read_only: frozen, or not.
    """
    flags = int.from_bytes(fcntl.ioctl(fd, _SUBVOL_GETFLAGS, bytes(8)), "little")
    wanted = flags | _RDONLY if read_only else flags & ~_RDONLY
    if wanted != flags:
        fcntl.ioctl(fd, _SUBVOL_SETFLAGS, wanted.to_bytes(8, "little"))


def destroy_nested(fd: int) -> None:
    """Delete the subvolumes that a subvolume has, whoever made them; those in read-only ones stay.

    Args:
        fd: of the outer one's root.

    Raises:
        OSError: ENOTTY before Linux 5.7.
    """
    own = _LOOKUP.unpack(_ask(fd, _INO_LOOKUP, _LOOKUP.pack(0, ROOT_INODE)))[0]
    nested = [own]
    for outer in nested:
        nested.extend(_children(fd, outer))
    for number in reversed(nested[1:]):
        try:
            _ask(fd, _SNAP_DESTROY_V2, _ID_ARGS.pack(0, 0, _SPEC_BY_ID, b"", number))
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOTEMPTY, errno.ENOENT):
                raise


def _children(fd: int, outer: int) -> Iterator[int]:
    """The ids of the subvolumes right below one."""
    begin = 0
    while True:
        key = (_ROOT_TREE, outer, outer, begin, _MAX_U64, 0, _MAX_U64, _ROOT_REF, _ROOT_REF, 64, 0)
        answer = _ask(fd, _TREE_SEARCH, _SEARCH.pack(*key))
        count = _SEARCH.unpack(answer)[9]
        place = _SEARCH_BYTES
        for _ in range(count):
            _, _, begin, _, length = _FOUND.unpack_from(answer, place)
            yield begin
            place += _FOUND.size + length
        if not count:
            return
        begin += 1


def _at_parent(path: str, request: int, arguments: Callable[[bytes], bytes]) -> None:
    directory, _, name = path.rpartition("/")
    fd = os.open(directory, _OPEN)
    try:
        _ask(fd, request, arguments(os.fsencode(name)))
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def _ask(fd: int, request: int, arguments: bytes) -> bytearray:
    """What the kernel makes of the arguments; Python passes more than 1,024 bytes only in a buffer of the caller's."""
    buffer = bytearray(arguments)
    fcntl.ioctl(fd, request, buffer)
    return buffer
