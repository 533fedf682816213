"""How much a tree of files takes up, counted as du(1) and containerd count it."""

from __future__ import annotations

import os

from wharfie.types.snapshots import Usage

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the file system's own block size (stat(2))."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def measure(path: str) -> Usage:
    """Allocated bytes and inodes at and below a directory, the directory included.

    An inode with several links counts once. Files that vanish meanwhile are not counted: an active snapshot may be
    written to while it is measured.
    """
    root = os.open(path, _OPEN)
    try:
        blocks = os.fstat(root).st_blocks
        inodes = 1
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
                        inodes += 1
                        blocks += status.st_blocks
            finally:
                os.close(fd)
    finally:
        os.close(root)
    return Usage(size=blocks * _BLOCK_BYTES, inodes=inodes)
