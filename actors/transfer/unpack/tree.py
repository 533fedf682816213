"""Removing a directory with all that is in it, however deep, with two descriptors and no recursion.

Directories below the one to remove are moved up into it, one level at a time, and emptied there: a tree deeper than
PATH_MAX, or than there are descriptors, is removed like any other. Where a directory cannot be moved, as one of a lower
layer through overlayfs, it is emptied where it stands.
"""

from __future__ import annotations

import contextlib
import errno
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
                    except OSError as error:
                        if error.errno != errno.EXDEV:
                            raise
                        _empty_in_place(child, fd)
                    else:
                        pending.append(moved)
                    break
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=top)


def _empty_in_place(base: bytes, parent: int) -> None:
    """Remove a directory by going down into it and up again, with one descriptor; nobody else moves things there."""
    here = os.open(base, _OPEN, dir_fd=parent)
    try:
        path = [base]
        todo = [_unlink_files(here)]
        while path:
            if todo[-1]:
                path.append(todo[-1].pop())
                here = _moved_to(here, path[-1])
                todo.append(_unlink_files(here))
                continue
            todo.pop()
            done = path.pop()
            here = _moved_to(here, b"..")
            os.rmdir(done, dir_fd=here)
    finally:
        os.close(here)


def _moved_to(here: int, name: bytes) -> int:
    there = os.open(name, _OPEN, dir_fd=here)
    os.close(here)
    return there


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
