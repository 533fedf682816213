"""`wharfie diff`: what a container has changed."""

from __future__ import annotations

import click

from cli import complete
from cli.group import command
from cli.output import plain, print_json, print_lines, visible
from cli.resolve import container as resolve
from cli.settings import Settings, pass_settings


@command(
    "diff",
    examples="""
    wharfie diff web
    """,
)
@click.argument("container", metavar="CONTAINER", shell_complete=complete.containers)
@pass_settings
def diff(settings: Settings, /, container: str) -> None:
    """Show what a container has changed in its files.

    One line for each path: A is added, C is changed (a directory also when only something in it is), D is deleted.
    """
    changes = resolve(settings.client(), container).diff(timeout_s=settings.wait_s)
    if settings.json:
        print_json([plain(change) for change in changes])
    else:
        print_lines(f"{change.kind} {visible(change.path)}" for change in changes)
