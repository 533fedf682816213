"""Mounts that show files with other owners: id-mapped mounts, of mount_setattr(2) with a user namespace (Linux 5.12).

A mapping is written as containerd writes it: `INSIDE:OUTSIDE:SIZE`, several by commas. What is owned by INSIDE on disk
is seen as OUTSIDE; what no range has is seen as nobody's (65534), and cannot be written.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from linux import mountattr
from linux.mount import MNT_DETACH, umount
from linux.namespaces import CLONE_NEWUSER
from linux.syscall import libc, syscall

NOBODY = 65534

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_RANGES_MAX = 340
"""The kernel's limit (user_namespaces(7))."""
_ID_MAX = (1 << 32) - 2


class Range(NamedTuple):
    """Ids that follow one another."""

    inside: int
    outside: int
    size: int


@functools.lru_cache(maxsize=8)
def parse(text: str) -> tuple[Range, ...]:
    """Read a mapping; raises `ValueError` that tells what is wrong with it. Pure; asked for each file of a copy."""
    ranges = []
    for part in text.split(","):
        numbers = part.split(":")
        if len(numbers) != 3 or not all(number.isascii() and number.isdecimal() for number in numbers):
            raise ValueError(f"'{part[:64]}' is not of the form INSIDE:OUTSIDE:SIZE")
        one = Range(*(int(number) for number in numbers))
        if not one.size or max(one.inside, one.outside) + one.size - 1 > _ID_MAX:
            raise ValueError(f"range '{part[:64]}' is empty or goes beyond the ids that there are")
        ranges.append(one)
    if len(ranges) > _RANGES_MAX:
        raise ValueError(f"there are more than {_RANGES_MAX} ranges")
    for place, one in enumerate(ranges):
        for other in ranges[:place]:
            if any(abs(a - b) < (other.size if a > b else one.size) for a, b in zip(one[:2], other[:2], strict=True)):
                raise ValueError("its ranges overlap")
    return tuple(ranges)


def outside(number: int, ranges: Sequence[Range]) -> int:
    """As what an id is seen. Pure."""
    for one in ranges:
        if one.inside <= number < one.inside + one.size:
            return one.outside + number - one.inside
    return NOBODY


@contextlib.contextmanager
def user_namespace(uids: Sequence[Range], gids: Sequence[Range]) -> Iterator[int]:
    """A descriptor of a user namespace with these mappings.

    Forks for a moment, because only a process can make one; the child does nothing but that, and does not outlive
    this process.

    Raises:
        OSError: no user namespace may be made, or not with these ids.
    """
    up, up_end = os.pipe2(os.O_CLOEXEC)
    down_end, down = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _hold_namespace(up_end, down_end, down)
    try:
        os.close(up_end)
        os.close(down_end)
        code = int.from_bytes(os.read(up, 4), "little")
        if code:
            raise OSError(code, os.strerror(code), "user namespace")
        for name, ranges in (("uid_map", uids), ("gid_map", gids)):
            with open(f"/proc/{child}/{name}", "wb", buffering=0) as file:
                file.write("".join(f"{one.inside} {one.outside} {one.size}\n" for one in ranges).encode())
        fd = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        # Closing its pipe may not be enough: a child that another thread forked just now has the other end, too.
        os.kill(child, signal.SIGKILL)
        os.close(down)
        os.close(up)
        os.waitpid(child, 0)
    try:
        yield fd
    finally:
        os.close(fd)


def _hold_namespace(up: int, down: int, others: int) -> None:
    """The child's life: make the namespace, say so, and end when the other side is closed."""
    try:
        os.close(others)
        code = 0 if libc.unshare(CLONE_NEWUSER) == 0 else ctypes.get_errno()
        os.write(up, code.to_bytes(4, "little"))
        os.read(down, 1)
    finally:
        os._exit(0)


def clone(path: str, userns: int, *, recursive: bool = False) -> int:
    """A mount of a directory that is nowhere in the tree, mapped by a user namespace; close it.

    Raises:
        OSError: EINVAL where the file system (or the kernel) cannot, ENOSYS before Linux 5.12.
    """
    more = _AT_RECURSIVE if recursive else 0
    fd = syscall("open_tree", _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC | more, path=path)
    try:
        mountattr.map_ids(fd, userns, path=path, recursive=recursive)
    except BaseException:
        os.close(fd)
        raise
    return fd


def attach(tree: int, target: str) -> None:
    """Mount what `clone` made."""
    syscall("move_mount", tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, path=target)


@contextlib.contextmanager
def shown(directories: Sequence[str], userns: int, *, attached: bool) -> Iterator[list[str]]:
    """Paths that show directories mapped, for as long as it takes to mount an overlay on them, which keeps what it has.

    Args:
        directories: which.
        userns: how.
        attached: mount them in a temporary directory, for kernels before 6.15, whose overlay takes no other mounts.
    """
    with contextlib.ExitStack() as stack:
        paths = []
        place = ""
        if attached:
            import tempfile  # only old kernels come here

            place = tempfile.mkdtemp(prefix="wharfie-idmap-")
            stack.callback(os.rmdir, place)
        for number, directory in enumerate(directories):
            tree = clone(directory, userns)
            stack.callback(os.close, tree)
            path = f"/proc/self/fd/{tree}"
            if attached:
                path = f"{place}/{number}"
                os.mkdir(path, 0o700)
                stack.callback(os.rmdir, path)
                attach(tree, path)
                stack.callback(umount, path, MNT_DETACH)
            paths.append(path)
        yield paths
