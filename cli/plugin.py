"""`wharfie plugin`: what the daemon is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import Noun, command, option
from cli.output import fields, labels_text, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group("plugin", cls=Noun)
def plugin() -> None:
    """Plugins: what the daemon is made of."""


@command(
    "ls",
    examples="""
    wharfie plugin ls
    wharfie plugin ls 'type~=snapshotter'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only type and id.")
@option("-d", "--detailed", is_flag=True, help="Everything that is known.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool, detailed: bool) -> None:
    """List plugins in the order in which they started."""
    found = settings.client().plugins.list(filters)
    if settings.json:
        print_json(plain(found))
    elif quiet:
        print_lines(f"{entry.type}.{entry.id}" for entry in found)
    elif detailed:
        print_lines(
            fields(
                (
                    ("Type", entry.type),
                    ("Id", entry.id),
                    ("Worker", entry.worker or "-"),
                    ("Requires", ", ".join(entry.requires) or "-"),
                    ("Status", entry.status),
                    ("Reason", entry.reason or "-"),
                    ("Capabilities", ", ".join(entry.capabilities) or "-"),
                    ("Exports", labels_text(entry.exports)),
                )
            )
            for entry in found
        )
    else:
        print_table(
            ("TYPE", "ID", "WORKER", "STATUS", "REASON"),
            ((entry.type, entry.id, entry.worker or "-", entry.status, entry.reason or "-") for entry in found),
        )


@command(
    "inspect",
    examples="""
    wharfie plugin inspect io.containerd.snapshotter.v1 overlayfs
    """,
)
@click.argument("type", metavar="TYPE")
@click.argument("id", metavar="ID")
@pass_settings
def inspect(settings: Settings, /, type: str, id: str) -> None:
    """Show one plugin as JSON."""
    print_json(plain(settings.client().plugins.get(type, id)))


for _verb in (ls, inspect):
    plugin.add_command(_verb)
