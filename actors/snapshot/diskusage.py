"""How much a tree of files takes up, counted as du(1) and containerd count it."""

from __future__ import annotations

import os

from wharfie.types.snapshots import Usage

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the file system's own block size (stat(2))."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def measure(path: str, *, below: str = "") -> Usage:
    """Allocated bytes and inodes at and below a directory, the directory included.

    An inode with several links counts once. Files that vanish meanwhile are not counted: an active snapshot may be
    written to while it is measured.

    Args:
        path: the directory.
        below: what it was a snapshot of, if the file system gives a snapshot's files their numbers and times: what
            still has both there is not counted.
    """
    if below:
        lower = os.open(below, _OPEN)
        try:
            return _measure(path, lower)
        finally:
            os.close(lower)
    return _measure(path, None)


def measure_few(path: str, *, at_most: int) -> Usage | None:
    """The same when a directory holds nothing but a few files; None for more, and for directories in it."""
    status = os.stat(path, follow_symlinks=False)
    inodes, blocks = 1, status.st_blocks
    with os.scandir(path) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            inodes += 1
            blocks += status.st_blocks
            if inodes > at_most or status.st_nlink > 1 or entry.is_dir(follow_symlinks=False):
                return None
    return Usage(size=blocks * _BLOCK_BYTES, inodes=inodes)


def _measure(path: str, lower: int | None) -> Usage:
    root = os.open(path, _OPEN)
    try:
        inodes = blocks = 0
        if not _is_same(os.fstat(root), ".", lower):
            inodes, blocks = 1, os.fstat(root).st_blocks
        linked: set[tuple[int, int]] = set()
        # Paths relative to the root: an image may use all the length that a path may have.
        pending = ["."]
        while pending:
            directory = pending.pop()
            try:
                fd = os.open(directory, _OPEN, dir_fd=root)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(f"{directory}/{entry.name}")
                        elif status.st_nlink > 1:
                            inode = (status.st_dev, status.st_ino)
                            if inode in linked:
                                continue
                            linked.add(inode)
                        if lower is not None and _is_same(status, f"{directory}/{entry.name}", lower):
                            continue
                        inodes += 1
                        blocks += status.st_blocks
            finally:
                os.close(fd)
    finally:
        os.close(root)
    return Usage(size=blocks * _BLOCK_BYTES, inodes=inodes)


def _is_same(status: os.stat_result, path: str, lower: int | None) -> bool:
    """Whether a file is as it was in what lies below."""
    if lower is None:
        return False
    try:
        other = os.stat(path, dir_fd=lower, follow_symlinks=False)
    except OSError:
        return False
    return (status.st_ino, status.st_ctime_ns) == (other.st_ino, other.st_ctime_ns)
