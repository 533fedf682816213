"""The names of a layer while it is read: directories with their attributes, everything else as the number of its inode.

Paths are looked up as the kernel looks them up below a root of its own: symbolic links of the layer are followed, and
neither they nor `..` lead out of it. A hundred thousand names cost some 14 MB.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from actors.snapshot.erofs.layout import NAME_MAX, FileType
from actors.transfer.unpack.errors import UnpackError, shown
from wharfie.errors import Code

PATH_MAX = 4096
_MAX_LINKS = 40
_MAX_CACHED = 4096
_KIND_BITS = 3
_KIND_MASK = 7

Leaf = int
"""The nid of what is no directory, and its `FileType` in the lowest three bits."""


def leaf(nid: int, kind: FileType) -> Leaf:
    """Something that is no directory."""
    return nid << _KIND_BITS | kind


def nid_of(what: Leaf) -> int:
    """Its inode."""
    return what >> _KIND_BITS


def kind_of(what: Leaf) -> int:
    """Its type."""
    return what & _KIND_MASK


class Directory:
    """One directory: what it holds, and what its inode will say."""

    __slots__ = (
        "children",
        "gid",
        "implicit",
        "mode",
        "mtime_ns",
        "nid",
        "opaque",
        "parent",
        "path_bytes",
        "uid",
        "xattrs",
    )

    def __init__(self, parent: Directory | None, *, path_bytes: int = 0, mode: int = 0o755) -> None:
        self.parent = parent
        self.path_bytes = path_bytes
        """Length of its real path."""
        self.children: dict[bytes, Directory | Leaf] = {}
        self.mode = mode
        self.uid = 0
        self.gid = 0
        self.mtime_ns = 0
        self.xattrs: dict[bytes, bytes] | None = None
        self.opaque = False
        """It hides what the layers below have there."""
        self.implicit = False
        """Entries lie in it and none describes it."""
        self.nid = 0


class Tree:
    """All names of a layer.

    Args:
        link_target: tells where the symbolic link with this nid leads.
    """

    def __init__(self, link_target: Callable[[int], bytes]) -> None:
        self.root = Directory(None)
        self.links: dict[int, int] = {}
        """Number of names of each inode that ever had more than one; may have come down to none."""
        self.whiteout: Leaf = 0
        """The one inode of all whiteouts; 0 as long as there is none."""
        self._link_target = link_target
        self._cache: dict[bytes, Directory] = {b"": self.root}

    def find(self, path: bytes, *, make: bool = False) -> Directory:
        """Return the directory at a clean path; with `make` what is missing of it is made.

        Raises:
            UnpackError: with `make`, something that is no directory is in the way.
            OSError: ENAMETOOLONG, ELOOP; without `make` also ENOENT and ENOTDIR.
        """
        found = self._cache.get(path)
        if found is None:
            if len(path) >= PATH_MAX:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            found = self._walk(path, make=make)
            if len(self._cache) >= _MAX_CACHED:
                self._cache = {b"": self.root}
            self._cache[path] = found
        return found

    def put(self, directory: Directory, base: bytes, what: Directory | Leaf) -> None:
        """Give a name to something, in place of what had it."""
        if len(base) > NAME_MAX:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        children = directory.children
        old = children.get(base)
        if old is not None:
            self._forget(old)
        children[base] = what

    def make_directory(self, parent: Directory, base: bytes, *, implicit: bool = False) -> Directory:
        """Make a directory in place of what is there: a whiteout or a file hid what is below, so it is opaque then."""
        made = Directory(parent, path_bytes=parent.path_bytes + 1 + len(base))
        made.opaque = base in parent.children
        made.implicit = implicit and not made.opaque
        self.put(parent, base, made)
        return made

    def link(self, what: Leaf) -> None:
        """Count one more name of an inode."""
        nid = nid_of(what)
        self.links[nid] = self.links.get(nid, 1) + 1

    def is_whiteout(self, what: Directory | Leaf | None) -> bool:
        """Say whether this is the mark of something deleted."""
        return what is not None and what == self.whiteout

    def directories(self) -> Iterator[tuple[Directory, list[bytes]]]:
        """Yield every directory and its names in order, parents first; the order depends on the names only."""
        todo = [self.root]
        while todo:
            here = todo.pop()
            names = sorted(here.children)
            yield here, names
            for name in reversed(names):
                child = here.children[name]
                if isinstance(child, Directory):
                    todo.append(child)

    def implicit(self) -> list[bytes]:
        """The paths of directories that no entry describes and that may be the layers' below, parents first."""
        found = []
        todo = [(self.root, b"")]
        while todo:
            here, path = todo.pop()
            # What hides the layers below has nothing to do with what is there.
            if here.opaque and path:
                continue
            if here.implicit:
                found.append(path)
            for name, child in here.children.items():
                if isinstance(child, Directory):
                    todo.append((child, path + b"/" + name if path else name))
        return sorted(found)

    def _walk(self, path: bytes, *, make: bool) -> Directory:
        here = self.root
        todo = path.split(b"/")[::-1]
        links = 0
        while todo:
            base = todo.pop()
            if base in (b"", b"."):
                continue
            if base == b"..":
                here = here.parent or here
                continue
            if here.path_bytes >= PATH_MAX or len(base) > NAME_MAX:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            child = here.children.get(base)
            if isinstance(child, Directory):
                here = child
            elif child is not None and kind_of(child) == FileType.SYMLINK:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = self._link_target(nid_of(child))
                if target.startswith(b"/"):
                    here = self.root
                todo += target.split(b"/")[::-1]
            elif not make:
                code = errno.ENOENT if child is None else errno.ENOTDIR
                raise OSError(code, os.strerror(code))
            elif child is None or self.is_whiteout(child):
                here = self.make_directory(here, base, implicit=True)
            else:
                raise UnpackError(
                    Code.INVALID_ARGUMENT,
                    f"'{shown(base)}' in '{shown(path)}' of the layer is no directory, though entries lie in it",
                    {"entry": shown(path)},
                )
        return here

    def _forget(self, old: Directory | Leaf) -> None:
        if isinstance(old, Directory):
            self._cache = {b"": self.root}
            if self.links:
                self._forget_below(old)
            return
        if kind_of(old) == FileType.SYMLINK:
            self._cache = {b"": self.root}
        if nid_of(old) in self.links:
            self.links[nid_of(old)] -= 1

    def _forget_below(self, directory: Directory) -> None:
        todo = [directory]
        while todo:
            for child in todo.pop().children.values():
                if isinstance(child, Directory):
                    todo.append(child)
                elif nid_of(child) in self.links:
                    self.links[nid_of(child)] -= 1
