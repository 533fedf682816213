"""Deletions: entries of a layer that say that something of the layers below is gone.

`.wh.NAME` hides NAME, `.wh..wh..opq` hides all that the layers below have in its directory. Both are about the layers
below only: what this layer itself has, before or after the whiteout, stays. Source: OCI image specification, section
"Whiteouts".
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from typing import ClassVar

from actors.transfer.unpack import names, tree, xattrs
from actors.transfer.unpack.directories import Directories, Directory
from actors.transfer.unpack.errors import UnpackError, shown
from actors.transfer.unpack.removed import Removals
from wharfie.errors import Code

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
_META_PREFIX = b".wh..wh."
_META_COMPONENT = b"/" + _META_PREFIX


def is_foreign_meta(path: bytes) -> bool:
    """Say whether the path belongs to what AUFS kept for itself (`.wh..wh.plnk` and the like): it is skipped."""
    return (b"/" + path.removesuffix(OPAQUE)).find(_META_COMPONENT) >= 0


def hidden_name(base: bytes, path: bytes) -> bytes:
    """Return the name that the whiteout `base` hides. Raises `UnpackError` when it could not be one's name."""
    name = base[len(PREFIX) :]
    if name in (b"", b".", b".."):
        raise UnpackError(
            Code.INVALID_ARGUMENT, f"whiteout '{shown(path)}' of the layer names nothing", {"entry": shown(path)}
        )
    return name


class Deleter(ABC):
    """Carries whiteouts out, one of two ways."""

    leaves_marks: ClassVar[bool]
    """The layers below are not here, so what hides them is marked: a directory may have to be opaque."""

    @abstractmethod
    def hide(self, directory: Directory, name: bytes) -> None:
        """Hide what the layers below have at `name`. Idempotent."""

    @abstractmethod
    def hide_all(self, directory: Directory) -> None:
        """Hide what the layers below have in `directory`. Idempotent."""

    @abstractmethod
    def made(self, path: bytes) -> None:
        """Be told that this layer made or changed what is at this real path."""


class OverlayDeleter(Deleter):
    """Leaves the marks of overlayfs in an upper directory, which holds this layer alone."""

    leaves_marks = True

    def __init__(self, directories: Directories, *, opaque_xattr: str) -> None:
        self._directories = directories
        self._opaque_xattr = opaque_xattr

    def hide(self, directory: Directory, name: bytes) -> None:
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory.fd)
        except FileExistsError:
            status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
            # It is this layer's. A file hides what is below by itself, a directory has to be told.
            if stat.S_ISDIR(status.st_mode):
                os.setxattr(xattrs.path_of(directory.fd, name), self._opaque_xattr, b"y", follow_symlinks=False)
                self._directories.is_explicit(names.join(directory.path, name))

    def hide_all(self, directory: Directory) -> None:
        os.setxattr(xattrs.path_of(directory.fd), self._opaque_xattr, b"y")

    def made(self, path: bytes) -> None:
        """Nothing to remember: all that is here is this layer's."""


class PlainDeleter(Deleter):
    """Deletes from a directory that holds the layers below, and remembers what is this layer's."""

    leaves_marks = False

    def __init__(self, directories: Directories, removals: Removals) -> None:
        self._directories = directories
        self._removals = removals
        self._own: set[bytes] = set()

    def made(self, path: bytes) -> None:
        for own in names.ancestors(path):
            if own in self._own:
                break
            self._own.add(own)

    def hide(self, directory: Directory, name: bytes) -> None:
        path = names.join(directory.path, name)
        if path not in self._own:
            tree.remove(name, dir_fd=directory.fd)
            self._removals.note(path)
            self._directories.forget()
        elif self._is_directory(directory, name):
            self.hide_all(self._directories.find(path))

    def hide_all(self, directory: Directory) -> None:
        todo = [directory.path]
        while todo:
            # Looked up anew each time: removing something closes all that was open.
            here = self._directories.find(todo.pop())
            path = here.path
            for name in self._children(here):
                child = names.join(path, name)
                here = self._directories.find(path)
                if child not in self._own:
                    tree.remove(name, dir_fd=here.fd)
                    self._removals.note(child)
                    self._directories.forget()
                elif self._is_directory(here, name):
                    todo.append(child)
            self._directories.trim()

    @staticmethod
    def _is_directory(directory: Directory, name: bytes) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    @staticmethod
    def _children(directory: Directory) -> list[bytes]:
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fd)
        try:
            return [os.fsencode(name) for name in os.listdir(fd)]
        finally:
            os.close(fd)
