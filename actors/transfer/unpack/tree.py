"""Removing a directory with all that is in it, however deep, with two descriptors and no recursion.

Directories below the one to remove are moved up into it, one level at a time, and emptied there: a tree deeper than
PATH_MAX, or than there are descriptors, is removed like any other.
"""

from __future__ import annotations

import contextlib
import os

from linux.files import rename

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(base: bytes, *, dir_fd: int) -> None:
    """Remove `base`, of any kind, from a directory; nothing there is no error. Symbolic links are not followed.

    Not atomic. Raises `OSError`.
    """
    try:
        os.unlink(base, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    top = os.open(base, _OPEN, dir_fd=dir_fd)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(base, dir_fd=dir_fd)


def _empty(top: int) -> None:
    pending = _unlink_files(top)
    number = 0
    while pending:
        name = pending.pop()
        fd = os.open(name, _OPEN, dir_fd=top)
        try:
            for child in _unlink_files(fd):
                with contextlib.suppress(OSError):
                    os.rmdir(child, dir_fd=fd)
                    continue
                while True:
                    number += 1
                    moved = b".removed-%d" % number
                    try:
                        rename(child, moved, source_dir_fd=fd, target_dir_fd=top)
                    except FileExistsError:
                        continue
                    break
                pending.append(moved)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=top)


def _unlink_files(fd: int) -> list[bytes]:
    """Unlink all that is no directory and return the names of the directories."""
    directories = []
    with os.scandir(fd) as children:
        # The list first: what is unlinked while a directory is read may make others be read twice or never.
        found = [(os.fsencode(child.name), child.is_dir(follow_symlinks=False)) for child in children]
    for name, is_directory in found:
        if is_directory:
            directories.append(name)
        else:
            os.unlink(name, dir_fd=fd)
    return directories
