"""What is known of images: `inspect`, `history`, `usage`, `check` below `wharfie image`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.each import each
from cli.group import command, option
from cli.inspect import of_image
from cli.output import plain, print_json, print_lines, print_table, short_id
from cli.resolve import with_image
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wharfie._sync.client import Client
    from wharfie._sync.imagefacts import Checked
    from wharfie.oci.history import Step

snapshotter_option = option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")


@command(
    "inspect",
    examples="""
    wharfie image inspect busybox
    wharfie image inspect --platform linux/arm64 app:1
    wharfie image inspect --mode dockercompat busybox
    """,
)
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's, or what there is]")
@option(
    "--mode",
    default="native",
    type=click.Choice(["native", "dockercompat"]),
    help="As the specification has it, or as 'docker image inspect'.  [default: native]",
)
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete.images)
@pass_settings
def inspect(settings: Settings, /, names: tuple[str, ...], *, platform: str, mode: str) -> None:
    """Show images with their manifest and configuration, as JSON."""
    client = settings.client()
    show = _docker if mode == "dockercompat" else of_image
    print_json([with_image(client, name, lambda found: show(client, found, platform))[1] for name in names])


def _docker(client: Client, name: str, platform: str) -> dict[str, Any]:
    from cli.dockercompat import inspected
    from wharfie import errors
    from wharfie.oci.variants import best

    (checked,) = client.images.check([name])
    variant = best(checked.variants, platform=platform)
    if variant is None or len(variant.required) < 2:
        raise errors.NotFound(f"image '{name}' has no manifest for this platform here", details={"field": "platform"})
    config = json.loads(client.content.read(variant.required[1].digest))
    unpacked = 0
    if variant.platform in checked.unpacked:
        unpacked = sum(client.snapshots.usage(chain_id).size for chain_id in variant.chain_ids)
    return inspected(checked, variant, config, images=client.images.list(), bytes_unpacked=unpacked)


@command(
    "history",
    examples="""
    wharfie history busybox
    wharfie image history --no-trunc app:1
    """,
)
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@option("--no-trunc", "whole", is_flag=True, help="Shorten nothing.")
@option("-q", "--quiet", is_flag=True, help="Only the digests of the layers.")
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@pass_settings
def history(settings: Settings, /, name: str, *, platform: str, whole: bool, quiet: bool) -> None:
    """Show how an image came to be, the newest step first.

    The size is that of the files which a step added, or, when they are not unpacked, of its compressed layer.
    """
    client = settings.client()
    steps = with_image(client, name, lambda found: client.images.history(found, platform=platform))[1][::-1]
    if quiet and not settings.json:
        print_lines(step.layer.digest for step in steps if step.layer is not None)
        return
    sized = [(step, _size(client, step)) for step in steps]
    if settings.json:
        print_json([{**plain(step), "size": size} for step, size in sized])
    else:
        print_table(
            ("SNAPSHOT", "CREATED", "CREATED BY", "SIZE", "COMMENT"),
            (
                (
                    (step.chain_id if whole else short_id(step.chain_id)) or "-",
                    step.created or "-",
                    (step.created_by if whole else shortened(step.created_by)) or "-",
                    spoken(size),
                    step.comment or "-",
                )
                for step, size in sized
            ),
        )


def shortened(text: str, *, width: int = 45) -> str:
    """A line that fits a column."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _size(client: Client, step: Step) -> int:
    from wharfie import errors

    if step.layer is None:
        return 0
    try:
        return client.snapshots.usage(step.chain_id).size if step.chain_id else step.layer.size
    except errors.NotFound:
        return step.layer.size


@command(
    "usage",
    examples="""
    wharfie image usage
    wharfie image usage busybox --json
    """,
)
@snapshotter_option
@click.argument("names", nargs=-1, metavar="[IMAGE]...", shell_complete=complete.images)
@pass_settings
def usage(settings: Settings, /, names: tuple[str, ...], *, snapshotter: str) -> None:
    """Show what images take of the disk: their blobs, and their layers when they are unpacked.

    What several images share is counted for each of them, and once in the last line.
    """
    client = settings.client()
    found = [with_image(client, name, client.images.get)[0] for name in names]
    used = client.images.usage(found, snapshotter=snapshotter)
    if settings.json:
        print_json(plain(used))
        return
    blobs: dict[str, int] = {}
    for checked in client.images.check(found):
        blobs |= checked.present
    layers = {chain_id: size for image in used for chain_id, size in image.layers.items()}
    rows = [(image.name, spoken(image.content), spoken(image.snapshots)) for image in used]
    rows.append(("(together)", spoken(sum(blobs.values())), spoken(sum(layers.values()))))
    print_table(("NAME", "CONTENT", "SNAPSHOTS"), rows)


@command(
    "check",
    examples="""
    wharfie image check
    wharfie image check app:1
    wharfie image check -q
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names of images that are ready to run.")
@option("--filter", "filters", multiple=True, metavar="FILTER", help="Only these images, when none is named.")
@snapshotter_option
@click.argument("names", nargs=-1, metavar="[IMAGE]...", shell_complete=complete.images)
@pass_settings
def check(
    settings: Settings, /, names: tuple[str, ...], *, quiet: bool, filters: Sequence[str], snapshotter: str
) -> int:
    """Show what of images is here, for each platform: blobs, and layers that are unpacked.

    The bytes are not read: 'wharfie content check' does. Ends with 1 when an image that was named is not all here.
    """
    client = settings.client()
    found: list[Checked] = []

    def look(name: str) -> None:
        found.extend(with_image(client, name, lambda known: client.images.check([known], snapshotter=snapshotter))[1])

    code = 0
    if names:
        code = each(names, look)[1]
    else:
        found = client.images.check(filters=filters, snapshotter=snapshotter)
    if settings.json:
        print_json([checked_fields(one) for one in found])
    elif quiet:
        print_lines(one.image.name for one in found if one.best is not None and one.best.platform in one.unpacked)
    else:
        print_table(("NAME", "PLATFORM", "STATUS", "BLOBS", "SIZE", "UNPACKED"), _rows(found))
    whole = all(one.best is not None and not one.best.missing for one in found)
    return code or int(bool(names) and not whole)


def checked_fields(checked: Checked) -> dict[str, Any]:
    """What of an image is here, for programs. Pure."""
    return {
        "name": checked.image.name,
        "target": plain(checked.image.target),
        "size": checked.content_bytes,
        "unpacked": list(checked.unpacked),
        "variants": [
            {
                "platform": one.platform,
                "digest": one.manifest.digest,
                "is_image": one.is_image,
                "status": one.status,
                "required": [blob.digest for blob in one.required],
                "missing": list(one.missing),
                "chain_ids": one.chain_ids,
                "size": one.present_bytes,
                "total": one.total_bytes,
            }
            for one in checked.variants
        ],
    }


def _rows(found: Sequence[Checked]) -> Iterator[tuple[object, ...]]:
    for checked in found:
        for one in checked.variants:
            known = one.status != "unavailable"
            yield (
                checked.image.name,
                one.platform or ("-" if one.is_image else "attestation"),
                one.status,
                f"{len(one.required) - len(one.missing)}/{len(one.required) if known else '?'}",
                f"{spoken(one.present_bytes)}/{spoken(one.total_bytes) if known else '?'}",
                ("yes" if one.platform in checked.unpacked else "no") if one.is_image else "-",
            )
