"""Snapshots: file systems in layers. Active ones are written, committed ones are parents, views are read.

`snapshotter` empty means the daemon's default.
"""

from __future__ import annotations

from enum import StrEnum

from wharfie.types.base import Labels, Message, Mount


class Kind(StrEnum):
    """The three kinds (containerd's snapshots.Kind)."""

    ACTIVE = "active"
    VIEW = "view"
    COMMITTED = "committed"


class Info(Message, frozen=True, kw_only=True):
    """What is known of a snapshot without touching its files."""

    name: str
    kind: Kind
    parent: str = ""
    snapshotter: str = ""
    labels: Labels = {}
    created_at_ns: int = 0
    updated_at_ns: int = 0


class Prepare(Message, frozen=True, kw_only=True):
    """`snapshots.prepare`: a writable snapshot on a committed parent (or none)."""

    key: str
    parent: str = ""
    snapshotter: str = ""
    labels: Labels = {}


class View(Message, frozen=True, kw_only=True):
    """`snapshots.view`: the same, read-only."""

    key: str
    parent: str = ""
    snapshotter: str = ""
    labels: Labels = {}


class GetMounts(Message, frozen=True, kw_only=True):
    """`snapshots.mounts`: of an active snapshot or view; `failed_precondition` for a committed one."""

    key: str
    snapshotter: str = ""


class Mounts(Message, frozen=True, kw_only=True):
    """Reply of prepare, view and mounts: the same list each time."""

    mounts: list[Mount]


class Commit(Message, frozen=True, kw_only=True):
    """`snapshots.commit`: `key` becomes `name`. `parent` re-bases one that was prepared without a parent."""

    name: str
    key: str
    snapshotter: str = ""
    labels: Labels = {}
    parent: str = ""


class Remove(Message, frozen=True, kw_only=True):
    """`snapshots.remove`: `failed_precondition` while it has children."""

    key: str
    snapshotter: str = ""


class Stat(Message, frozen=True, kw_only=True):
    """`snapshots.stat`."""

    key: str
    snapshotter: str = ""


class List(Message, frozen=True, kw_only=True):
    """`snapshots.list`: filters on `kind, name, parent, labels.K`."""

    snapshotter: str = ""
    filters: list[str] = []


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `snapshots.list`, by name."""

    snapshots: list[Info]


class Update(Message, frozen=True, kw_only=True):
    """`snapshots.update`: labels only; mask paths `labels, labels.K`."""

    key: str
    snapshotter: str = ""
    labels: Labels = {}
    mask: list[str] = []


class GetUsage(Message, frozen=True, kw_only=True):
    """`snapshots.usage`."""

    key: str
    snapshotter: str = ""


class Usage(Message, frozen=True, kw_only=True):
    """Bytes and inodes of this snapshot without its parents."""

    size: int
    inodes: int


class Cleanup(Message, frozen=True, kw_only=True):
    """`snapshots.cleanup`: remove directories that no name knows; tells how many."""

    snapshotter: str = ""


class Cleaned(Message, frozen=True, kw_only=True):
    """Reply of `snapshots.cleanup`."""

    removed: int
