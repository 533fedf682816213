"""`wharfie image prune`: images that no container uses, and what only they needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.output import plain, print_json, print_lines
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from wharfie.types.images import Image

PINNED = ("io.cri-containerd.pinned", "pinned")
"""Label, and its value, of an image that is kept."""


@command(
    "prune",
    examples="""
    wharfie image prune
    wharfie image prune --all --dry-run
    wharfie image prune --all 'labels.team==ci'
    """,
)
@option("-a", "--all", "everything", is_flag=True, help="All that no container uses, not only those without a tag.")
@option("--dry-run", "dry", is_flag=True, help="Only tell what would go.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def prune(settings: Settings, /, filters: Sequence[str], *, everything: bool, dry: bool) -> None:
    """Remove images that no container uses, then collect garbage.

    Without --all those whose name has no tag, as NAME@DIGEST. One with the label io.cri-containerd.pinned=pinned is
    kept.
    """
    from wharfie import errors

    client = settings.client()
    used = {found.record.image for found in client.containers.list(without_spec=True)}
    names = prunable(client.images.list(filters), used=used, everything=everything)
    removed = []
    for name in names if not dry else ():
        try:
            client.images.delete(name)
        except errors.NotFound:
            continue
        removed.append(name)
    done = None if dry else client.gc.run(timeout_s=settings.wait_s)
    if settings.json:
        print_json({"images": names if dry else removed, "collected": plain(done)})
        return
    print_lines(names if dry else removed)
    if done is not None:
        click.echo(f"{len(removed)} images removed, {spoken(done.bytes)} freed")


def prunable(images: Iterable[Image], *, used: Collection[str], everything: bool) -> list[str]:
    """The names of those that may go. Pure."""
    return [
        image.name
        for image in images
        if image.name not in used
        and image.labels.get(PINNED[0]) != PINNED[1]
        and (everything or ":" not in image.name.partition("@")[0].rpartition("/")[2])
    ]
