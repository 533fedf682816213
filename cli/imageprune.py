"""`wharfie image prune`: images that no container uses, and what only they needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.output import plain, print_json, print_lines
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    client = settings.client()
    names = client.images.prune(filters, everything=everything, dry=dry)
    done = None if dry else client.gc.run(timeout_s=settings.wait_s)
    if settings.json:
        print_json({"images": names, "collected": plain(done)})
        return
    print_lines(names)
    if done is not None:
        click.echo(f"{len(names)} images removed, {spoken(done.bytes)} freed")
