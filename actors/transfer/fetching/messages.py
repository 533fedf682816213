"""What the transfer worker and its fetcher say to each other, over a SEQPACKET socket of their own.

::

    worker → fetcher    Hello, then Resolve, FindReferrers, GetDocument, GetBlob, PushBlob, PushDocument
    fetcher → worker    Arrived*, Noted*, then Done or Failed; for each command, told apart by its id

Every command may be given again to another fetcher when the first one died: none of them does harm twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from config.settings import Registry as RegistrySettings
from wharfie.oci.descriptor import Descriptor
from wharfie.types.base import Labels, Message
from wharfie.types.registry import Credentials


class FetcherJob(Message, frozen=True, kw_only=True):
    """The job's request. Nothing secret is in it: what is comes with `Hello`.

    Attributes:
        address: of the daemon, whose client the fetcher is.
        hosts_dir: directory of the registries' `hosts.toml`.
        policy: how patient to be with registries.
        plain_http, skip_verify: for hosts that no `hosts.toml` describes.
        threads: commands that are worked on at the same time.
        ranges: parts of one layer that are fetched at the same time; 1: layers are fetched in one piece.
        range_bytes: how long such a part is.
    """

    address: str
    namespace: str
    lease: str
    hosts_dir: str
    policy: RegistrySettings
    plain_http: bool = False
    skip_verify: bool = False
    threads: int
    ranges: int
    range_bytes: int


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag=True, omit_defaults=True):
    """One message; `id` is the command's that it gives or belongs to."""

    id: int = 0


class Hello(Said, frozen=True, kw_only=True):
    """The first message: who to be at which registry."""

    credentials: Credentials = {}


class Resolve(Said, frozen=True, kw_only=True):
    """What does a reference stand for? Done with `Found`."""

    reference: str


class FindReferrers(Said, frozen=True, kw_only=True):
    """Which manifests of the reference's repository have `digest` as their subject? Done with `FoundReferrers`.

    Attributes:
        artifact_type: only those of this type; empty is all.
    """

    reference: str
    digest: str
    artifact_type: str = ""


class GetDocument(Said, frozen=True, kw_only=True):
    """Read a manifest or a configuration. Done with `Document`."""

    reference: str
    descriptor: Descriptor
    is_manifest: bool


class GetBlob(Said, frozen=True, kw_only=True):
    """Have a blob in the content store; its ingest is `ref`. `Arrived` tells how far it is. Done with `Empty`."""

    reference: str
    descriptor: Descriptor
    ref: str
    labels: Labels = {}


class PushBlob(Said, frozen=True, kw_only=True):
    """Have a blob in the registry; the message's descriptor is its file. Done with `Sent`."""

    reference: str
    descriptor: Descriptor
    mount_from: list[str] = []


class PushDocument(Said, frozen=True, kw_only=True):
    """Have a manifest in the registry. Done with `Sent`."""

    reference: str
    descriptor: Descriptor
    data: bytes


class Arrived(Said, frozen=True, kw_only=True):
    """So many bytes are there."""

    count: int


class Noted(Said, frozen=True, kw_only=True):
    """Something to tell the user: `event` is one of the progress items, with its reason."""

    event: str
    detail: str = ""


class Done(Said, frozen=True, kw_only=True):
    """The command's result: msgpack of the struct that the command promises."""

    body: bytes


class Failed(Said, frozen=True, kw_only=True):
    """The command failed; `error` is what `WharfieError.to_wire` describes."""

    error: dict[str, Any]


Command = Resolve | FindReferrers | GetDocument | GetBlob | PushBlob | PushDocument
Answer = Arrived | Noted | Done | Failed


class Found(Message, frozen=True, kw_only=True):
    """Result of `Resolve`."""

    descriptor: Descriptor


class FoundReferrers(Message, frozen=True, kw_only=True):
    """Result of `FindReferrers`."""

    referrers: list[Descriptor]


class Document(Message, frozen=True, kw_only=True):
    """Result of `GetDocument`: its bytes, which have the descriptor's digest."""

    data: bytes


class Sent(Message, frozen=True, kw_only=True):
    """Result of `PushBlob` and `PushDocument`: how many bytes had to be sent."""

    bytes: int


encode = msgspec.msgpack.Encoder().encode
decode_command = msgspec.msgpack.Decoder(Hello | Command).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
