"""Diff: the difference of two trees as a layer, and a layer applied to a tree (containerd's Diff service).

A tree is named by the key of a snapshot or by mounts, as `snapshots.mounts` answers them.
"""

from __future__ import annotations

from enum import StrEnum

from wharfie.types.base import Descriptor, Labels, Message, Mount


class Kind(StrEnum):
    """What happened to a path, as `docker diff` spells it."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class Create(Message, frozen=True, kw_only=True):
    """`diff.create`, a stream as `transfer.import`: what differs, as a layer in the content store.

    Either `key` names a snapshot, which is compared with its parent, or `upper` shows the tree and `lower` the one
    before it. The same trees make the same bytes. Content that exists is no error.

    Args:
        lower: mounts of the tree before; none for an empty one.
        upper: mounts of the tree after.
        key: a snapshot of any kind, instead of mounts.
        snapshotter: of `key`.
        media_type: of a tar layer of OCI or Docker: plain, gzip or zstd.
        labels: of the blob; `containerd.io/uncompressed` is added.
        source_date_epoch: seconds; no time in the layer is after it.
    """

    lower: list[Mount] = []
    upper: list[Mount] = []
    key: str = ""
    snapshotter: str = ""
    media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip"
    labels: Labels = {}
    source_date_epoch: int | None = None


class Created(Message, frozen=True, kw_only=True):
    """Result of `diff.create`: the layer, and the digest and size of the tar in it."""

    descriptor: Descriptor
    diff_id: str
    diff_size: int


class Apply(Message, frozen=True, kw_only=True):
    """`diff.apply`, a stream as `transfer.import`: unpack a layer onto a tree.

    Deletions are carried out on what is there; in a snapshot that has no parent and may be put on one when it is
    committed they are written down for that one. Links of lower layers are followed inside of the tree. Not atomic:
    after an error the tree holds a part of the layer, and who made it removes it.

    Args:
        descriptor: of a layer in the content store; its media type may be empty.
        mounts: of the tree.
        key: an active snapshot, instead of mounts.
        snapshotter: of `key`.
        sync: write the tree out to the disk before answering.
    """

    descriptor: Descriptor
    mounts: list[Mount] = []
    key: str = ""
    snapshotter: str = ""
    sync: bool = False


class Applied(Message, frozen=True, kw_only=True):
    """Result of `diff.apply`: the layer as a plain tar, whose digest is its diff id."""

    descriptor: Descriptor


class GetChanges(Message, frozen=True, kw_only=True):
    """`diff.changes`, a stream of `Changes`: what differs, by path; arguments as of `diff.create`.

    Args:
        skip: so many of the first changes are left out, because the caller has them.
    """

    lower: list[Mount] = []
    upper: list[Mount] = []
    key: str = ""
    snapshotter: str = ""
    skip: int = 0


class Change(Message, frozen=True, kw_only=True):
    """One path, absolute in the tree; bytes that are no UTF-8 are escaped with a backslash."""

    kind: Kind
    path: str


class Changes(Message, frozen=True, kw_only=True):
    """An item: the next changes, a directory before what is in it."""

    changes: list[Change]
