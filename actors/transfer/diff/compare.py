"""Finding what differs between two trees: added, changed, deleted.

Two ways, with one result. `merged` looks at all of both trees, whatever they are. `overlay` looks at the upper
directory of an overlay alone, which holds what was touched; whether that differs from the tree below is asked there,
so that a file that was only opened for writing is no change, and an opaque directory becomes the deletions that it
stands for.

Differences are: type, mode, owner, device number, the attributes that layers hold, and of what is no directory the time
of change, the data and the target of a link. Nothing is compared of what has one inode number and one time of status
change on both sides: it is the same file, of a lower layer or a shared subvolume. Data of others are compared when all
else is the same; containerd takes size and time for enough, and misses a file that was renamed over another.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

from actors.transfer.diff.treeside import TreeSide
from actors.transfer.unpack.directories import is_whiteout
from actors.transfer.unpack.names import join, split
from wharfie.types.diff import Kind


class Change(msgspec.Struct, frozen=True):
    """One path, relative to the root, and what happened. `status` is None for what was deleted."""

    kind: Kind
    path: bytes
    status: os.stat_result | None = None


class NeedsMergedView(Exception):
    """The upper directory does not tell by itself what it holds: a directory was moved, or only attributes copied."""


def in_order(path: bytes) -> bytes:
    """Return a sort key: directories before what is in them, and that before their next neighbour."""
    return path.replace(b"/", b"\0")


class Comparison:
    """Finds the changes from `lower` (None: an empty tree) to `upper`. Use it once."""

    def __init__(self, lower: TreeSide | None, upper: TreeSide, *, overlay: str = "") -> None:
        """Args:
        overlay: empty to look at all of both trees; else `upper` is an overlay's upper directory, and this how the
            names of its attributes begin (`trusted.overlay.`).
        """
        self._lower = lower
        self._upper = upper
        self._overlay = overlay
        self._changes: dict[bytes, Change] = {}
        self._linked: dict[tuple[int, int], list[tuple[bytes, os.stat_result]]] = {}
        self._changed_inodes: set[tuple[int, int]] = set()
        self._directories: dict[bytes, os.stat_result] = {}

    def changes(self) -> list[Change]:
        """Return the changes in order; the directories above a change are among them.

        Raises `NeedsMergedView` for an upper directory that has to be looked at through a mount.
        """
        pending: list[tuple[bytes, bool]] = [(b"", self._lower is not None)]
        try:
            while pending:
                path, has_lower = pending.pop()
                pending.extend(self._directory(path, has_lower=has_lower))
        finally:
            self._upper.leave()
            if self._lower is not None:
                self._lower.leave()
        self._add_partners()
        self._add_parents()
        return sorted(self._changes.values(), key=lambda change: in_order(change.path))

    def _directory(self, path: bytes, *, has_lower: bool) -> Iterator[tuple[bytes, bool]]:
        """Compare what is in one directory; yields the directories below that are to be looked at."""
        upper, lower = self._upper, self._lower
        if not upper.enter(path):
            return
        below = lower if has_lower and lower is not None and lower.enter(path) else None
        names = upper.names()
        hidden = self._hidden(names, below)
        for name in names:
            status = upper.status(name)
            if status is None or stat.S_ISSOCK(status.st_mode):
                continue
            child = join(path, name)
            before = below.status(name) if below is not None else None
            if is_whiteout(status):
                # Also one that a container made itself, for which a layer has no other word.
                if before is not None and not is_whiteout(before):
                    self._changes[child] = Change(Kind.DELETED, child)
                continue
            self._check(name, status)
            is_directory = stat.S_ISDIR(status.st_mode)
            if is_directory:
                self._directories[child] = status
            if before is None:
                self._note(Kind.ADDED, child, status)
            elif not self._is_same(name, status, below, before):
                self._note(Kind.CHANGED, child, status)
            elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                self._linked.setdefault((status.st_dev, status.st_ino), []).append((child, status))
            if is_directory:
                yield child, before is not None and stat.S_ISDIR(before.st_mode)
        for name in hidden:
            child = join(path, name)
            self._changes[child] = Change(Kind.DELETED, child)

    def _hidden(self, names: list[bytes], below: TreeSide | None) -> list[bytes]:
        """Names of the lower directory that are not in the upper one, where that means that they were deleted."""
        if below is None:
            return []
        if self._overlay and self._upper.xattr(b"", f"{self._overlay}opaque") not in (b"y", b"Y"):
            return []
        there = set(names)
        return [name for name in below.names() if name not in there]

    def _check(self, name: bytes, status: os.stat_result) -> None:
        if not self._overlay:
            return
        tell = "redirect" if stat.S_ISDIR(status.st_mode) else "metacopy" if stat.S_ISREG(status.st_mode) else ""
        if tell and self._upper.xattr(name, f"{self._overlay}{tell}") is not None:
            raise NeedsMergedView

    def _note(self, kind: Kind, path: bytes, status: os.stat_result) -> None:
        self._changes[path] = Change(kind, path, status)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            self._changed_inodes.add((status.st_dev, status.st_ino))

    def _is_same(self, name: bytes, status: os.stat_result, below: TreeSide | None, before: os.stat_result) -> bool:
        assert below is not None, "what was there before was found below"
        if _is_one_inode(status, before):
            return True
        mine = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
        if mine != (before.st_mode, before.st_uid, before.st_gid, before.st_rdev):
            return False
        if not stat.S_ISDIR(status.st_mode):
            if (status.st_size, status.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return False
            if stat.S_ISLNK(status.st_mode) and self._upper.link(name) != below.link(name):
                return False
            if stat.S_ISREG(status.st_mode) and not self._upper.has_same_data(name, below):
                return False
        return self._upper.xattrs(name) == below.xattrs(name)

    def _add_partners(self) -> None:
        """A changed file's other names come along: else they would be files of their own when the layer is applied."""
        for inode in self._changed_inodes & self._linked.keys():
            for path, status in self._linked[inode]:
                self._changes[path] = Change(Kind.CHANGED, path, status)

    def _add_parents(self) -> None:
        for path in list(self._changes):
            parent, _ = split(path)
            while parent and parent not in self._changes:
                status = self._directories.get(parent)
                if status is not None:
                    self._changes[parent] = Change(Kind.CHANGED, parent, status)
                parent, _ = split(parent)


def _is_one_inode(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both are the same file and nobody has changed it. Device numbers differ by mount and say nothing.

    Where the time of status change is that of the data it is made up, as in the images of erofs, whose inode numbers
    all begin at the same.
    """
    return (
        one.st_ino == other.st_ino
        and one.st_ctime_ns == other.st_ctime_ns != one.st_mtime_ns
        and (one.st_mode, one.st_rdev) == (other.st_mode, other.st_rdev)
    )
