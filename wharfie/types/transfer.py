"""Transfer: images from archives and from what containers changed; progress, which every method of `transfer` tells.

`transfer.import` is a stream: `Progress` items, then the `Imported` result with its end. Of other methods see
`export.py`, `convert.py`, `pull.py` and `diff.py`.
"""

from __future__ import annotations

from wharfie.types.base import Descriptor, Labels, Message
from wharfie.types.images import Image


class Import(Message, frozen=True, kw_only=True):
    """`transfer.import`: an OCI layout (in a tar, or a directory) or docker archive (a tar), compressed or not.

    Exactly one of `path` (a file, FIFO or directory that the daemon can open) and `ref` (an ingest of `content.write`,
    consumed) is given. Each blob is verified against its digest; an image is named only when all of it is there.

    Args:
        base_name: names for images whose annotation is only a tag become `base_name:tag`.
        digests: each image gets the name `REPOSITORY@DIGEST`, too; the repository is that of its name, or `base_name`.
        names: replaces the names in the archive, when it holds one image.
        unpack: also unpack into `snapshotter` (empty: the default).
        platform: `os/arch[/variant]`; empty is this machine's.
    """

    path: str = ""
    ref: str = ""
    base_name: str = ""
    digests: bool = False
    names: list[str] = []
    unpack: bool = True
    snapshotter: str = ""
    platform: str = ""
    all_platforms: bool = False
    labels: Labels = {}


class Progress(Message, frozen=True, kw_only=True):
    """An item: `event` happens to `name` (a digest, image, reference or file); `done` of `total` bytes.

    Events of an import are `importing, blob, unpacking, unpacked, saved`, of a commit `comparing, layer, saved`, of a
    conversion `converting, converted, saved`; docs/images.md has those of a pull and a push.
    """

    event: str
    name: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""


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


class Commit(Message, frozen=True, kw_only=True):
    """`transfer.commit`, a stream as import: an image of what a container has changed, on top of its own image.

    The container may run: what it writes meanwhile is in the image or not. A name that is taken then stands for the new
    image. The same files and arguments make the same image, when `source_date_epoch` is given.

    Args:
        container: its id.
        name: of the image.
        author: for the configuration and its history.
        message: the same.
        changes: instructions of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
        compression: of the layer: `gzip`, `zstd` or `none`.
        source_date_epoch: seconds; when the image says it was made, and no time in the layer is after it.
        labels: of the image's record.
    """

    container: str
    name: str
    author: str = ""
    message: str = ""
    changes: list[str] = []
    compression: str = "gzip"
    source_date_epoch: int | None = None
    labels: Labels = {}


class Committed(Message, frozen=True, kw_only=True):
    """Result of `transfer.commit`: the image, its new layer and the digest of the tar in it."""

    image: Image
    layer: Descriptor
    diff_id: str
