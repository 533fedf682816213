"""Deleting a tree of files that strangers made.

`shutil.rmtree` keeps a descriptor open for each level and follows mounts; a tree from a hostile image may be deeper
than descriptors or the stack allow, and something may be mounted in it whose files are not ours to delete.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from linux.openat2 import RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEP = 64
"""Levels that are descended into; what lies deeper is first moved up to the root of the tree."""


def remove_tree(path: str, *, entering: Callable[[int], None] | None = None) -> None:
    """Delete a directory and all below it. Idempotent: what is gone already is no error.

    Never crosses a mount point and never follows a symbolic link. Deletes all that it can before it raises.

    Args:
        path: the directory.
        entering: called with each directory, open, before what is in it is deleted.

    Raises:
        OSError: the first thing that could not be deleted; EXDEV names a directory on which something is mounted.
    """
    try:
        top = os.open(path, _OPEN)
    except FileNotFoundError:
        return
    removal = _Removal(top, entering)
    try:
        while removal.pass_over(top, path, depth=0):
            pass
    finally:
        os.close(top)
    if removal.error is not None:
        raise removal.error
    os.rmdir(path)


class _Removal:
    """One walk: the top directory, where deep directories are moved to, and the first error."""

    def __init__(self, top: int, entering: Callable[[int], None] | None) -> None:
        self._top = top
        self._entering = entering
        self._moved = 0
        self.error: OSError | None = None

    def pass_over(self, fd: int, path: str, *, depth: int) -> bool:
        """Delete what lies in a directory; true when directories were moved up and another pass is needed."""
        again = False
        if self._entering is not None:
            self._entering(fd)
        with os.scandir(fd) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, is_directory in names:
            try:
                if not is_directory:
                    os.unlink(name, dir_fd=fd)
                elif depth >= _DEEP:
                    self._move_up(fd, name)
                    again = True
                else:
                    again |= self._directory(fd, name, f"{path}/{name}", depth=depth)
            except FileNotFoundError:
                continue
            except OSError as error:
                if self.error is None:
                    error.filename = f"{path}/{name}"
                    self.error = error
        return again

    def _directory(self, parent: int, name: str, path: str, *, depth: int) -> bool:
        fd = openat2(name, dir_fd=parent, flags=_OPEN, resolve=RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS)
        try:
            again = self.pass_over(fd, path, depth=depth + 1)
        finally:
            os.close(fd)
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            # Not empty: something in it could not be deleted, and that error is the one to tell.
            if error.errno != errno.ENOTEMPTY or self.error is None:
                raise
        return again

    def _move_up(self, fd: int, name: str) -> None:
        while True:
            self._moved += 1
            try:
                os.rename(name, f".deep-{self._moved}", src_dir_fd=fd, dst_dir_fd=self._top)
            except OSError as error:
                # Taken by an earlier walk, or by the image itself.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            else:
                return
