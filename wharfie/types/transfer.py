"""Transfer: images from archives into the daemon (and, later, registries and out again).

`transfer.import` is a stream: `Progress` items, then the `Imported` result with its end.
"""

from __future__ import annotations

from wharfie.types.base import Labels, Message
from wharfie.types.images import Image


class Import(Message, frozen=True, kw_only=True):
    """`transfer.import`: an OCI layout or docker archive (tar, compressed or not).

    Exactly one of `path` (a file or FIFO that the daemon can open) and `ref` (an ingest of `content.write`, consumed)
    is given. Each blob is verified against its digest; an image is named only when all of it is there.

    Args:
        base_name: names for images whose annotation is only a tag become `base_name:tag`.
        names: replaces the names in the archive, when it holds one image.
        unpack: also unpack into `snapshotter` (empty: the default).
        platform: `os/arch[/variant]`; empty is this machine's.
    """

    path: str = ""
    ref: str = ""
    base_name: str = ""
    names: list[str] = []
    unpack: bool = True
    snapshotter: str = ""
    platform: str = ""
    all_platforms: bool = False
    labels: Labels = {}


class Progress(Message, frozen=True, kw_only=True):
    """An item: `event` is `importing, blob, unpacking, unpacked, saved`; `name` a digest or image; bytes done."""

    event: str
    name: str = ""
    done: int = 0
    total: int = 0


class Imported(Message, frozen=True, kw_only=True):
    """The images that now have a name."""

    images: list[Image]


class Unpack(Message, frozen=True, kw_only=True):
    """`transfer.unpack`, a stream as import: unpack an image that is in the content store; a no-op when it is done."""

    image: str
    snapshotter: str = ""
    platform: str = ""


class Unpacked(Message, frozen=True, kw_only=True):
    """Result of `transfer.unpack`: the committed snapshot that a container's snapshot is prepared on."""

    chain_id: str
    snapshotter: str
