"""`wharfie gc`: what nobody holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.output import fields, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from wharfie.types.gc import Collected, Explanation, Link, Orphans


@command(
    "gc",
    examples="""
    wharfie gc
    wharfie gc --explain sha256:9f86d081884c7d65…
    wharfie gc --orphans
    """,
)
@option("--explain", "explain", metavar="DIGEST|KEY|NAME", help="Tell who holds it, from the root on; collect nothing.")
@option("--orphans", "orphans", is_flag=True, help="List what nobody holds; collect nothing.")
@pass_settings
def gc(settings: Settings, /, *, explain: str | None, orphans: bool) -> None:
    """Collect garbage, or tell who holds a thing and what nobody holds.

    The daemon collects by itself; this does it now, in all namespaces, and tells what went.
    """
    if explain is not None and orphans:
        raise click.UsageError("--explain and --orphans exclude one another")
    client = settings.client()
    if explain is not None:
        things = client.gc.explain(explain)
        if settings.json:
            print_json(plain(things))
        else:
            sys.stdout.write("".join(map(explanation, things)))
    elif orphans:
        found = client.gc.orphans()
        if settings.json:
            print_json(plain(found))
        else:
            print_orphans(found)
    else:
        done = client.gc.run()
        if settings.json:
            print_json(plain(done))
        else:
            sys.stdout.write(collected(done))


def collected(done: Collected) -> str:
    """What a collection took."""
    pairs: list[tuple[str, object]] = [
        (name.capitalize(), count)
        for name in ("images", "leases", "blobs", "snapshots", "ingests", "directories")
        if (count := getattr(done, name))
    ]
    if done.files:
        pairs.append(("Files", f"{done.files} ({spoken(done.bytes)})"))
    pairs.append(("Took", f"{done.seconds:.3f} s, longest pause {done.longest_pause_s * 1000:.1f} ms"))
    return fields(pairs)


def explanation(thing: Explanation) -> str:
    """One thing and the ways that lead to it, one a line."""
    if not thing.chains:
        return f"{thing.type} {thing.id} is held by nobody; the next collection takes it\n"
    holders = "1 root" if thing.roots == 1 else f"{thing.roots} roots"
    lines = [f"{thing.type} {thing.id} is held by {holders}", *(f"  {chain(links)}" for links in thing.chains)]
    if thing.roots > len(thing.chains):
        lines.append(f"  … and {thing.roots - len(thing.chains)} more")
    return "".join(f"{line}\n" for line in lines)


def chain(links: list[Link]) -> str:
    """From the root to the thing."""
    if len(links) == 1:
        return "itself: it is a root"
    return " -> ".join(f"{link.type} {link.id}" for link in links)


def print_orphans(found: Orphans) -> None:
    """What nobody holds."""
    rows = [
        *(
            (thing.namespace, thing.type, thing.id, "-" if thing.size < 0 else spoken(thing.size))
            for thing in found.things
        ),
        *(("-", "file", digest, "-") for digest in found.files),
        *(("-", "directory", place, "-") for place in found.directories),
    ]
    if rows:
        print_table(("NAMESPACE", "TYPE", "ID", "SIZE"), rows)
    else:
        print_lines(["nothing is held by nobody"])
