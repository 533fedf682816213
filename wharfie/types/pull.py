"""Pull, push, repair and referrers: images from registries and to them.

All are streams: `Progress` items, then the result with the end. Credentials are in the body, and forgotten with it.
"""

from __future__ import annotations

from wharfie.types.base import Descriptor, Labels, Message
from wharfie.types.images import Image
from wharfie.types.registry import Credentials


class Pull(Message, frozen=True, kw_only=True):
    """`transfer.pull`: an image of a registry. What is here already is not fetched; what was interrupted goes on.

    Args:
        ref: `host[:port]/path[:tag][@digest]`; `busybox` is `docker.io/library/busybox:latest`.
        name: of the image here; empty is the reference in full.
        platform: `os/arch[/variant]`; empty is this machine's.
        all_platforms: fetch the content of every platform, attestations too; only `platform` is unpacked.
        unpack: also unpack into `snapshotter` (empty: the default), while it arrives.
        credentials: by host.
        plain_http: speak http to hosts that no hosts.toml describes.
        skip_verify: believe any certificate of such hosts.
        attempts: how often a registry that is away is asked; 0: as the configuration says.
        labels: of the image's record.
    """

    ref: str
    name: str = ""
    platform: str = ""
    all_platforms: bool = False
    unpack: bool = True
    snapshotter: str = ""
    credentials: Credentials = {}
    plain_http: bool = False
    skip_verify: bool = False
    attempts: int = 0
    labels: Labels = {}


class Pulled(Message, frozen=True, kw_only=True):
    """Result of `transfer.pull`.

    Attributes:
        image: as it is named now.
        fetched_bytes: of the blobs that were not here; those of an interrupted attempt are counted, too.
        chain_id: the snapshot that containers are prepared on; empty when nothing was unpacked.
        snapshotter: that has it.
    """

    image: Image
    fetched_bytes: int = 0
    chain_id: str = ""
    snapshotter: str = ""


class Push(Message, frozen=True, kw_only=True):
    """`transfer.push`: an image of this daemon to a registry. What is there already is not sent.

    Args:
        image: its name here.
        ref: where to; empty is the image's name. A digest in it must be the image's own.
        platform: only the manifest of this platform, instead of the whole index; it then has the reference's tag.
        credentials: by host.
        plain_http, skip_verify: as in `Pull`.
    """

    image: str
    ref: str = ""
    platform: str = ""
    credentials: Credentials = {}
    plain_http: bool = False
    skip_verify: bool = False


class Pushed(Message, frozen=True, kw_only=True):
    """Result of `transfer.push`.

    Attributes:
        ref: in full.
        target: what the reference stands for at the registry now.
        sent_bytes: of blobs; mounted ones and those that were there cost none.
    """

    ref: str
    target: Descriptor
    sent_bytes: int = 0


class Repair(Message, frozen=True, kw_only=True):
    """`transfer.repair`, a stream as pull: fetch blobs whose bytes are missing or were removed as damaged.

    A blob's labels `containerd.io/distribution.source.HOST` say where it is fetched from, else the image's name does.

    Args:
        blobs: digest to size in bytes.
        image: a name that is a reference, for blobs without such a label; may be empty.
        credentials, plain_http, skip_verify: as in `Pull`.
    """

    blobs: dict[str, int]
    image: str = ""
    credentials: Credentials = {}
    plain_http: bool = False
    skip_verify: bool = False


class Repaired(Message, frozen=True, kw_only=True):
    """Result of `transfer.repair`: the digests that are whole again, and why others are not."""

    repaired: list[str]
    failed: dict[str, str] = {}


class Referrers(Message, frozen=True, kw_only=True):
    """`transfer.referrers`, a stream as pull: what refers to an image at its registry, such as signatures.

    Nothing is fetched or stored. A registry without the API is asked for the tag that stands in for it.

    Args:
        ref: as in `Pull`; of an index, what refers to the index. A digest in it asks for another manifest's.
        artifact_type: only referrers of this type; empty is all.
        credentials, plain_http, skip_verify: as in `Pull`.
    """

    ref: str
    artifact_type: str = ""
    credentials: Credentials = {}
    plain_http: bool = False
    skip_verify: bool = False


class Referrer(Descriptor, frozen=True, kw_only=True):
    """A descriptor of a manifest that has a subject.

    Attributes:
        artifact_type: what it is; empty when the registry does not say.
    """

    artifact_type: str = ""


class ReferrersFound(Message, frozen=True, kw_only=True):
    """Result of `transfer.referrers`.

    Attributes:
        subject: what the reference stands for at the registry now.
        referrers: in the registry's order; empty when nothing refers to it.
    """

    subject: Descriptor
    referrers: list[Referrer] = []
