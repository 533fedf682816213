"""`wharfie namespace`: the tenants of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import complete
from cli.duration import timestamp
from cli.each import do, done
from cli.group import Noun, command, option
from cli.labels import label_mask, parse_labels
from cli.output import labels_text, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

name_argument = click.argument("name", shell_complete=complete.namespaces)


@click.group("namespace", cls=Noun)
def namespace() -> None:
    """Namespaces: the tenants of the daemon.

    Each has its own containers, images, content and snapshots; the same bytes are stored once. 'wharfie -n NAME …'
    works in one.
    """


@command(
    "ls",
    examples="""
    wharfie namespace ls
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool) -> None:
    """List namespaces."""
    found = settings.client().namespaces.list(filters)
    if settings.json:
        print_json(plain(found))
    elif quiet:
        print_lines(entry.name for entry in found)
    else:
        print_table(
            ("NAME", "CREATED AT", "LABELS"),
            ((entry.name, timestamp(entry.created_at_ns), labels_text(entry.labels)) for entry in found),
        )


@command(
    "create",
    examples="""
    wharfie namespace create ci team=build
    """,
)
@name_argument
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def create(settings: Settings, /, name: str, labels: tuple[str, ...]) -> None:
    """Make a namespace; any create in one makes it, too."""
    made = settings.client().namespaces.create(name, parse_labels(labels))
    done(settings, [made.name], "name")


@command(
    "inspect",
    examples="""
    wharfie namespace inspect ci
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.namespaces)
@pass_settings
def inspect(settings: Settings, /, names: tuple[str, ...]) -> None:
    """Show namespaces as JSON; one that was never made has no labels."""
    client = settings.client()
    print_json([plain(client.namespaces.get(name)) for name in names])


@command(
    "label",
    examples="""
    wharfie namespace label ci team=build old=
    """,
)
@name_argument
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, name: str, labels: tuple[str, ...]) -> None:
    """Change a namespace's labels and print them; 'KEY=' removes one."""
    client = settings.client()
    changes = parse_labels(labels)
    if changes:
        found = client.namespaces.update(name, changes, mask=label_mask(changes))
    else:
        found = client.namespaces.get(name)
    if settings.json:
        print_json(found.labels)
    else:
        print_lines(f"{key}={value}" for key, value in sorted(found.labels.items()))


@command(
    "rm",
    examples="""
    wharfie namespace rm ci
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.namespaces)
@pass_settings
def rm(settings: Settings, /, names: tuple[str, ...]) -> int:
    """Remove empty namespaces."""
    client = settings.client()

    def remove(name: str) -> str:
        client.namespaces.delete(name)
        return name

    return do(settings, names, remove, "name")


for _verb in (ls, create, inspect, label, rm):
    namespace.add_command(_verb)
