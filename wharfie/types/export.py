"""Export: images out of the daemon, as an archive that every tool of this trade reads."""

from __future__ import annotations

from wharfie.types.base import Message


class Export(Message, frozen=True, kw_only=True):
    """`transfer.export`: images as an OCI layout in a tar, which `docker load` reads, too.

    The same images and arguments make the same bytes. With `path` the daemon writes them into a file, which is there
    when it is whole and not before; without it each item carries the next of them, as fast as they are taken. What is
    exported stays until the end, also when its names are removed meanwhile.

    Args:
        images: names.
        path: absolute; a file that is there is replaced. Empty: the bytes come with the items.
        platforms: `os/arch[/variant]`; with none that of this machine, or the only one that an image has.
        all_platforms: everything that the images list, which must be here.
        skip_missing: leave out manifests of which not everything is here.
        skip_manifest_json: leave out Docker's `manifest.json`.
        skip_non_distributable: leave out layers that may not be passed on.
        offset: begin at this byte of the archive, for a stream that goes on.
        archive: of the item that came last before `offset`; another archive than that is `aborted`.
    """

    images: list[str]
    path: str = ""
    platforms: list[str] = []
    all_platforms: bool = False
    skip_missing: bool = False
    skip_manifest_json: bool = False
    skip_non_distributable: bool = False
    offset: int = 0
    archive: str = ""


class Exporting(Message, frozen=True, kw_only=True):
    """An item: `done` of `total` bytes; `archive` tells this archive from others with other bytes."""

    done: int
    total: int
    archive: str = ""


class Exported(Message, frozen=True, kw_only=True):
    """What was written: the images, in the order of the archive, and its size in bytes."""

    images: list[str]
    size: int
