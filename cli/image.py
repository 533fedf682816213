"""`wharfie image`: names for content."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.duration import ago
from cli.each import do, done
from cli.group import Noun, command, option
from cli.inspect import of_image
from cli.labels import label_mask, parse_labels
from cli.load import load
from cli.output import plain, print_json, print_lines, print_table, short_id
from cli.resolve import with_image
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie._sync.client import Client
    from wharfie.types.images import Image


@click.group("image", cls=Noun)
def image() -> None:
    """Images: names for content."""


def _facts(client: Client, record: Image) -> tuple[int, str]:
    """An image's size (its blobs, compressed as they are) and platform; 0 and nothing when it is not all there."""
    from wharfie import errors

    try:
        manifest = client.images.manifest(record.name)
        config = client.images.config(record.name)
    except errors.WharfieError:
        return 0, ""
    size = record.target.size + manifest.config.size + sum(layer.size for layer in manifest.layers)
    return size, f"{config.os}/{config.architecture}" + (f"/{config.variant}" if config.variant else "")


@command(
    "ls",
    examples="""
    wharfie images
    wharfie images 'name~=busybox'
    wharfie images -q
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names.")
@option("--no-trunc", "whole", is_flag=True, help="Shorten nothing.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool, whole: bool) -> None:
    """List images.

    The size is that of the image's blobs in the content store.
    """
    client = settings.client()
    found = client.images.list(filters)
    if quiet and not settings.json:
        print_lines(record.name for record in found)
        return
    facts = {record.name: _facts(client, record) for record in found}
    if settings.json:
        print_json(
            [{**plain(record), "size": facts[record.name][0], "platform": facts[record.name][1]} for record in found]
        )
        return
    now_ns = time.time_ns()
    print_table(
        ("NAME", "DIGEST", "PLATFORM", "CREATED", "SIZE"),
        (
            (
                record.name,
                record.target.digest if whole else short_id(record.target.digest),
                facts[record.name][1] or "-",
                ago(record.created_at_ns, now_ns),
                spoken(facts[record.name][0]) if facts[record.name][0] else "-",
            )
            for record in found
        ),
    )


@command(
    "inspect",
    examples="""
    wharfie image inspect busybox
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete.images)
@pass_settings
def inspect(settings: Settings, /, names: tuple[str, ...]) -> None:
    """Show images with their manifest and configuration, as JSON."""
    client = settings.client()
    print_json([with_image(client, name, lambda found: of_image(client, found))[1] for name in names])


@command(
    "tag",
    examples="""
    wharfie tag busybox:latest mine:1
    """,
)
@option("--no-force", is_flag=True, help="Fail when the new name is taken; without it that image loses it.")
@click.argument("source", metavar="IMAGE", shell_complete=complete.images)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@pass_settings
def tag(settings: Settings, /, source: str, names: tuple[str, ...], *, no_force: bool) -> None:
    """Give an image one more name."""
    client = settings.client()

    def give(found: str) -> list[Image]:
        return [client.images.tag(found, name, force=not no_force) for name in names]

    tagged = with_image(client, source, give)[1]
    done(settings, [record.name for record in tagged], "name")


@command(
    "rm",
    examples="""
    wharfie rmi mine:1
    """,
)
@option("-f", "--force", is_flag=True, help="A missing one is no error.")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete.images)
@pass_settings
def rm(settings: Settings, /, names: tuple[str, ...], *, force: bool) -> int:
    """Remove names of images.

    The content goes when nothing needs it any more; containers made from the image are not touched.
    """
    from wharfie import errors

    client = settings.client()

    def remove(name: str) -> str | None:
        try:
            return with_image(client, name, client.images.delete)[0]
        except errors.NotFound:
            if not force:
                raise
            return None

    return do(settings, names, remove, "name")


@command(
    "label",
    examples="""
    wharfie image label busybox:latest team=base old=
    """,
)
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, name: str, labels: tuple[str, ...]) -> None:
    """Change an image's labels and print them; 'KEY=' removes one."""
    import msgspec

    client = settings.client()
    record = with_image(client, name, client.images.get)[1]
    changes = parse_labels(labels)
    if changes:
        changed = msgspec.structs.replace(record, labels=changes)
        record = client.images.update(changed, mask=label_mask(changes))
    if settings.json:
        print_json(record.labels)
    else:
        print_lines(f"{key}={value}" for key, value in sorted(record.labels.items()))


@command(
    "unpack",
    examples="""
    wharfie image unpack busybox:latest
    """,
)
@option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@pass_settings
def unpack(settings: Settings, /, name: str, **options: Any) -> None:
    """Make an image's layers ready to run; print the snapshot they became."""
    client = settings.client()
    found, chain_id = with_image(
        client, name, lambda name: client.images.unpack(name, timeout_s=settings.wait_s, **options)
    )
    if settings.json:
        print_json({"name": found, "chain_id": chain_id})
    else:
        click.echo(chain_id)


for _verb in (ls, inspect, load, tag, rm, label, unpack):
    image.add_command(_verb)
