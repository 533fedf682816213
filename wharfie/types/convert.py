"""Conversion: an image made into another one with the same files."""

from __future__ import annotations

from wharfie.types.base import Labels, Message
from wharfie.types.images import Image


class Convert(Message, frozen=True, kw_only=True):
    """`transfer.convert`, a stream as import: an image with the same files, in another form or for fewer platforms.

    Configurations stay as they are, so the layers unpack to the same snapshots. A layer that is in the wanted form
    already stays the blob it is. An image for several platforms stays an index, of those that were asked for.

    Args:
        source: name of an image.
        name: of the new one; an image that has it loses it.
        platforms: `os/arch[/variant]`; with none that of this machine, or the only one that the image has.
        all_platforms: everything that the image lists, which must be here.
        oci: media types of OCI instead of Docker's.
        compression: of the layers: `gzip`, `zstd`, `none`; empty leaves them as they are.
        labels: of the image's record; those of the source are kept.
    """

    source: str
    name: str
    platforms: list[str] = []
    all_platforms: bool = False
    oci: bool = False
    compression: str = ""
    labels: Labels = {}


class Converted(Message, frozen=True, kw_only=True):
    """Result of `transfer.convert`: the image, and how many blobs were made for it."""

    image: Image
    blobs: int
