"""Content: blobs by digest, and the ingests they grow from.

A blob is written by `content.write` calls at an offset under a `ref`, then committed. A repeated write at an offset
that is already there is refused (`out_of_range`) unless it is the same call again. Payload frames carry the bytes.
"""

from __future__ import annotations

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


class Write(Message, frozen=True, kw_only=True):
    """`content.write`: the payload frame goes to `offset` of the ingest `ref`, which is made when new.

    `already_exists` when the namespace has the expected digest. Offset 0 while bytes exist truncates first. Without a
    payload frame nothing is written: it begins the ingest, or tells its status. When another namespace has the
    expected blob, such a first call answers with `offset` = `total`: the bytes need not be sent, only committed.
    """

    ref: str
    offset: int = 0
    total: int = 0
    expected: str = ""


class Commit(Message, frozen=True, kw_only=True):
    """`content.commit`: verify size and digest, sync, rename, register. `failed_precondition` when they differ; then
    the ingest stays and can be resumed or aborted. `already_exists` when the blob was there (the ingest is dropped).
    """

    ref: str
    size: int = 0
    expected: str = ""
    labels: Labels = {}


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
