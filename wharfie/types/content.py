"""Content: blobs by digest, and the ingests they grow from.

A blob is written by `content.write` calls at an offset under a `ref`, then committed. A repeated write at an offset
that is already there is refused (`out_of_range`) unless it is the same call again. Payload frames carry the bytes.
"""

from __future__ import annotations

from enum import StrEnum

from wharfie.types.base import Labels, Message


class Info(Message, frozen=True, kw_only=True):
    """What the namespace knows of a blob."""

    digest: str
    size: int
    labels: Labels = {}
    created_at_ns: int = 0
    updated_at_ns: int = 0


class Status(Message, frozen=True, kw_only=True):
    """An ingest: `offset` bytes are there of `total` (0: unknown)."""

    ref: str
    offset: int
    total: int = 0
    expected: str = ""
    started_at_ns: int = 0
    updated_at_ns: int = 0


class GetInfo(Message, frozen=True, kw_only=True):
    """`content.info`."""

    digest: str


class List(Message, frozen=True, kw_only=True):
    """`content.list`: filters on `digest, labels.K`."""

    filters: list[str] = []


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `content.list`, by digest."""

    blobs: list[Info]


class Update(Message, frozen=True, kw_only=True):
    """`content.update`: labels; mask paths `labels, labels.K`; an empty value deletes."""

    digest: str
    labels: Labels = {}
    mask: list[str] = []


class Delete(Message, frozen=True, kw_only=True):
    """`content.delete`: this namespace forgets the blob; the bytes go when no namespace names it."""

    digest: str


class Read(Message, frozen=True, kw_only=True):
    """`content.read`, a stream: items with one payload frame each, in order, from `offset`; size 0 is to the end."""

    digest: str
    offset: int = 0
    size: int = 0


class Chunk(Message, frozen=True, kw_only=True):
    """An item of `content.read`: its payload frame starts at `offset` of the blob."""

    offset: int


class Lent(Message, frozen=True, kw_only=True):
    """Bytes in a file in memory (`memfd_create`) of a client on the same machine, which has it open until the answer.

    Attributes:
        fd: the descriptor's number in the client's process, the one that has connected.
        inode: of the file, so that no other is taken for it.
        offset, size: where the bytes are in the file.
    """

    fd: int
    inode: int
    offset: int
    size: int


class Write(Message, frozen=True, kw_only=True):
    """`content.write`: the payload frame goes to `offset` of the ingest `ref`, which is made when new.

    `already_exists` when the namespace has the expected digest. Offset 0 while bytes exist truncates first. Without a
    payload frame nothing is written: it begins the ingest, or tells its status. When another namespace has the
    expected blob, such a first call answers with `offset` = `total`: the bytes need not be sent, only committed.

    Attributes:
        writer: a name that no other writer has. What others send for the ref is `unavailable` until this one commits or
            is `done`, until its process is gone, or until it has been silent for long. Empty: only writes that are
            under way at the same time keep others away.
        done: the writer lets go of the ref; the ingest stays.
        lent: instead of a payload frame. When the daemon cannot read it, the answer is `failed_precondition` with
            `details.reason` `lent`; then send the bytes.
    """

    ref: str
    offset: int = 0
    total: int = 0
    expected: str = ""
    writer: str = ""
    done: bool = False
    lent: Lent | None = None


class Commit(Message, frozen=True, kw_only=True):
    """`content.commit`: verify size and digest, sync, rename, register. `failed_precondition` when they differ; then
    the ingest stays and can be resumed or aborted. `already_exists` when the blob was there (the ingest is dropped).
    `writer`: that of the writes.
    """

    ref: str
    size: int = 0
    expected: str = ""
    labels: Labels = {}
    writer: str = ""


class Put(Message, frozen=True, kw_only=True):
    """`content.put`: the payload frame is a whole blob. One that is there already is no error, its labels are merged.

    `failed_precondition` when the bytes have another digest than `expected`; without it they are hashed as sha256.
    """

    expected: str = ""
    labels: Labels = {}


class Stored(Message, frozen=True, kw_only=True):
    """Reply of `content.put`; `new`: the namespace did not know the blob before."""

    new: bool
    info: Info


class Check(Message, frozen=True, kw_only=True):
    """`content.check`, a stream: blobs are read and hashed; an item for each, by digest.

    Attributes:
        image: only what this image refers to and the namespace has, as deep as it goes; empty: all of the namespace.
        remove_damaged: delete the bytes of a damaged blob and keep its name, so that writing it again replaces them.
        after: only blobs whose digest comes after this one: where an interrupted check goes on.
    """

    image: str = ""
    remove_damaged: bool = False
    after: str = ""


class State(StrEnum):
    """What a check found."""

    OK = "ok"
    DAMAGED = "damaged"
    """The bytes have another digest."""
    WRONG_SIZE = "wrong_size"
    MISSING = "missing"
    """A name without bytes, or a part of the image that the namespace does not name."""
    UNREADABLE = "unreadable"
    """The disk failed."""


class Checked(Message, frozen=True, kw_only=True):
    """An item of `content.check`.

    Attributes:
        size: that the namespace knows, or that the image says.
        found: bytes that are there; -1 without any.
        removed: the damaged bytes were deleted.
        done, total: bytes checked so far in this stream, and in all of it.
    """

    digest: str
    state: State
    size: int
    found: int = -1
    removed: bool = False
    done: int = 0
    total: int = 0


class GetStatus(Message, frozen=True, kw_only=True):
    """`content.status`."""

    ref: str


class ListStatuses(Message, frozen=True, kw_only=True):
    """`content.statuses`: filter field `ref`."""

    filters: list[str] = []


class Statuses(Message, frozen=True, kw_only=True):
    """Reply of `content.statuses`."""

    statuses: list[Status]


class Abort(Message, frozen=True, kw_only=True):
    """`content.abort`: drop the ingest and its bytes; `not_found` when there is none."""

    ref: str
