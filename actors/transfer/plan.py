"""What an archive amounts to: the result of reading it, and the orders for the importer. Data only."""

from __future__ import annotations

from wharfie.types.base import Descriptor, Labels, Message


class Source(Message, frozen=True, kw_only=True):
    """Where bytes are: `length` at `offset` of the archive, or of the file `member` when that is a directory, or `data`
    itself for documents that we made.
    """

    offset: int = 0
    length: int = 0
    data: bytes | None = None
    member: str = ""


class Blob(Message, frozen=True, kw_only=True):
    """One blob to take in, with the labels that keep what it refers to."""

    digest: str
    media_type: str
    source: Source
    labels: Labels = {}


class Layer(Message, frozen=True, kw_only=True):
    """One layer to unpack.

    Attributes:
        diff_id: digest of the plain tar.
        source: None when the bytes are in the content store only.
    """

    digest: str
    media_type: str
    size: int
    diff_id: str
    source: Source | None = None


class RootFs(Message, frozen=True, kw_only=True):
    """The layers of one manifest, the lowest first; `config` is the digest of its configuration blob."""

    manifest: str
    config: str
    layers: list[Layer]


class NamedImage(Message, frozen=True, kw_only=True):
    """A name and what it will stand for."""

    name: str
    target: Descriptor


class Plan(Message, frozen=True, kw_only=True):
    """Everything an import does, in order: blobs before those that refer to them, then names, then layers."""

    blobs: list[Blob]
    images: list[NamedImage]
    unpacks: list[RootFs]


class ReadArchive(Message, frozen=True, kw_only=True):
    """The request of the job that reads an archive; descriptors: the archive, a file for what must be spooled.

    Attributes:
        seekable: the archive is a file, and needs no copy unless it is compressed; or a directory, which never does.
        max_bytes: what the copy may weigh at most.
    """

    seekable: bool
    max_bytes: int
    base_name: str = ""
    digests: bool = False
    names: list[str] = []
    platform: str = ""
    all_platforms: bool = False


class ArchivePlan(Message, frozen=True, kw_only=True):
    """What that job answers; with `spooled`, offsets are those in the spool file."""

    plan: Plan
    spooled: bool
