"""Garbage collection: running it, asking who holds a thing, and what nobody holds."""

from __future__ import annotations

from wharfie.types.base import Message


class Run(Message, frozen=True, kw_only=True):
    """`gc.run`: collect now, in all namespaces, and look for files and directories that nothing names, too."""


class Collected(Message, frozen=True, kw_only=True):
    """Reply of `gc.run`: what went.

    Attributes:
        blobs, snapshots, images, leases: names that nothing held, of all namespaces; leases and images had expired.
        files, bytes: of blobs that no namespace names any more.
        directories: of snapshots that nothing names any more.
        ingests: that had expired, or whose lease was given up.
        seconds: from begin to end.
        longest_pause_s: for which anybody else's request can have waited.
    """

    blobs: int = 0
    snapshots: int = 0
    images: int = 0
    leases: int = 0
    files: int = 0
    bytes: int = 0
    directories: int = 0
    ingests: int = 0
    seconds: float = 0.0
    longest_pause_s: float = 0.0


class Explain(Message, frozen=True, kw_only=True):
    """`gc.explain`: who holds what has this digest, snapshot key or image name; `not_found` when nothing has."""

    id: str


class Link(Message, frozen=True, kw_only=True):
    """One step from what holds to what is held. `type` as in a lease's resources, or `leases` or `containers`."""

    type: str
    id: str


class Explanation(Message, frozen=True, kw_only=True):
    """One thing of the id that was asked for.

    Attributes:
        type, id: what it is.
        chains: for each root that leads to it the shortest way, from the root to it; the nearest roots first, at most
            32. None: the next collection takes it.
        roots: how many roots lead to it.
    """

    type: str
    id: str
    chains: list[list[Link]] = []
    roots: int = 0


class Explanations(Message, frozen=True, kw_only=True):
    """Reply of `gc.explain`."""

    things: list[Explanation]


class FindOrphans(Message, frozen=True, kw_only=True):
    """`gc.orphans`: what a collection would take now. Changes nothing."""


class Orphan(Message, frozen=True, kw_only=True):
    """Something that nothing holds; `size` is -1 when it was not measured."""

    namespace: str
    type: str
    id: str
    size: int = -1


class Orphans(Message, frozen=True, kw_only=True):
    """Reply of `gc.orphans`.

    Attributes:
        things: blobs, snapshots and expired images of all namespaces.
        files: digests of blobs' files that no namespace names.
        directories: of snapshots that nothing names, as SNAPSHOTTER/NUMBER.
    """

    things: list[Orphan] = []
    files: list[str] = []
    directories: list[str] = []
