"""What workers ask of one another and no client may: the typed bodies of the internal methods.

Kept beside the workers and not in the public package: they change with the daemon.
"""

from __future__ import annotations

from wharfie.types.base import Json, Labels, Message
from wharfie.types.content import Info as BlobInfo
from wharfie.types.snapshots import Info, Kind


class BlobRegister(Message, frozen=True, kw_only=True):
    """`metadata.blob_register`: the bytes are in place and synced; the namespace now names them. Idempotent.

    Labels are merged into those of an existing row. Publishes `/content/create` when the row is new. The lease of the
    header, which held the ingest `ref`, holds the blob instead.
    """

    digest: str
    size: int
    labels: Labels = {}
    ref: str = ""


class BlobRegistered(Message, frozen=True, kw_only=True):
    """`new`: the namespace did not name it before. `info`: as it stands now."""

    new: bool
    info: BlobInfo


class BlobForget(Message, frozen=True, kw_only=True):
    """`metadata.blob_forget`: the namespace forgets it; `not_found` when it never named it."""

    digest: str


class BlobNamed(Message, frozen=True, kw_only=True):
    """`metadata.blob_named`: whether the header's namespace, whether any namespace, names this digest."""

    digest: str


class BlobClaim(Message, frozen=True, kw_only=True):
    """`metadata.blob_claim`: as `metadata.blob_named`; what the namespace names is held by the call's lease, or the
    default one, from now on: the caller is about to be told that it exists.
    """

    digest: str


class LeaseHold(Message, frozen=True, kw_only=True):
    """`metadata.lease_hold`: the lease of the header holds this; without a lease nothing happens. Idempotent.

    `not_found`: there is no such lease.
    """

    type: str
    id: str


class BlobNames(Message, frozen=True, kw_only=True):
    """Who names a digest; `size` is 0 when nobody does.

    `is_shareable`: not `here`, but a namespace that names it is labelled so that others may have it without its bytes.
    """

    here: bool
    anywhere: bool
    size: int = 0
    is_shareable: bool = False


class IngestName(Message, frozen=True, kw_only=True):
    """An ingest, by namespace and ref."""

    namespace: str
    ref: str


class IngestsHeld(Message, frozen=True, kw_only=True):
    """`metadata.ingests_held`: which of these some lease holds."""

    ingests: list[IngestName]


class HeldIngests(Message, frozen=True, kw_only=True):
    """For each ingest, in order, whether a lease holds it."""

    held: list[bool]


class BlobsNamed(Message, frozen=True, kw_only=True):
    """`metadata.blobs_named`: which of these digests some namespace names."""

    digests: list[str]


class NamedBlobs(Message, frozen=True, kw_only=True):
    """Those that are named."""

    digests: list[str]


class ContentCollect(Message, frozen=True, kw_only=True):
    """`content.collect`: delete the bytes of these digests where nobody names them, and expired ingests. Idempotent.

    With `all` look at every file. With `dry` delete nothing and tell.
    """

    digests: list[str] = []
    all: bool = False
    dry: bool = False


class ContentCollected(Message, frozen=True, kw_only=True):
    """What was deleted; the digests only of a dry run."""

    files: int = 0
    bytes: int = 0
    ingests: int = 0
    digests: list[str] = []


class SnapshotCollect(Message, frozen=True, kw_only=True):
    """`snapshot.collect`: delete a snapshotter's directories that no snapshot has. Idempotent. `dry`: only tell."""

    snapshotter: str
    dry: bool = False


class SnapshotCollected(Message, frozen=True, kw_only=True):
    """How many went; of a dry run the numbers that would."""

    removed: int = 0
    numbers: list[int] = []


class SnapshotCreate(Message, frozen=True, kw_only=True):
    """`metadata.snapshot_create`: allocates a number and names it. Errors as `snapshots.prepare`."""

    key: str
    kind: Kind
    parent: str = ""
    snapshotter: str
    labels: Labels = {}


class SnapshotGet(Message, frozen=True, kw_only=True):
    """`metadata.snapshot_get`."""

    key: str
    snapshotter: str


class SnapshotRow(Message, frozen=True, kw_only=True):
    """A snapshot with its number (the name of its directory) and its ancestors' numbers, nearest first."""

    info: Info
    number: int
    parents: list[int] = []
    size: int = -1
    inodes: int = -1


class SnapshotCommit(Message, frozen=True, kw_only=True):
    """`metadata.snapshot_commit`: the active `key` becomes the committed `name`. Errors as `snapshots.commit`."""

    name: str
    key: str
    snapshotter: str
    size: int
    inodes: int
    labels: Labels = {}
    parent: str = ""


class SnapshotRemove(Message, frozen=True, kw_only=True):
    """`metadata.snapshot_remove`: the name goes; the reply's number may then be deleted from disk."""

    key: str
    snapshotter: str


class SnapshotNumbers(Message, frozen=True, kw_only=True):
    """`metadata.snapshot_numbers`: all numbers of a snapshotter, in every namespace."""

    snapshotter: str


class Numbers(Message, frozen=True, kw_only=True):
    """The numbers in use, and the highest ever given: a directory above it belongs to a request still under way."""

    numbers: list[int]
    highest: int
    committed: list[int] = []
    """Those of committed snapshots."""


class SnapshotLost(Message, frozen=True, kw_only=True):
    """`snapshot.lost`: which of these committed snapshots have no directory any more, though they have names."""

    snapshotter: str
    keys: list[str]


class Lost(Message, frozen=True, kw_only=True):
    """Reply of `snapshot.lost`."""

    keys: list[str]


class ForwardedEvent(Message, frozen=True, kw_only=True):
    """One event of another worker."""

    topic: str
    timestamp_ns: int
    event: Json
    key: str = ""
    """Unique for the event: publishing it again is a no-op."""


class EventsForward(Message, frozen=True, kw_only=True):
    """`events.forward`: publish in order, in one transaction; the namespace is the header's."""

    events: list[ForwardedEvent]


class IngestFile(Message, frozen=True, kw_only=True):
    """`content.ingest_file`: copy `length` bytes at `offset` of the local file `path` into a blob and commit it.

    Hashes while it copies; a wrong digest is `failed_precondition`; an existing blob is only registered. Idempotent.
    """

    path: str
    offset: int
    length: int
    digest: str
    labels: Labels = {}


class Ingested(Message, frozen=True, kw_only=True):
    """`path` of the blob's file, for reading."""

    digest: str
    size: int
    path: str
