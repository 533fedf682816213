"""`wharfie content`: blobs by digest, and the ingests they grow from."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.blobcheck import check
from cli.blobprune import prune
from cli.duration import ago
from cli.each import do, each
from cli.group import Noun, command, option
from cli.ingest import edit, ingest
from cli.labels import label_mask, parse_labels
from cli.meter import Meter
from cli.output import fields, json_text, labels_text, plain, print_json, print_lines, print_table, short_id
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie._sync.client import Client
    from wharfie.types.content import Info, Status

digests_argument = click.argument(
    "digests", nargs=-1, required=True, metavar="DIGEST...", shell_complete=complete.blobs
)


@click.group("content", cls=Noun)
def content() -> None:
    """Content: blobs by digest, and their ingests."""


@command(
    "ls",
    examples="""
    wharfie content ls
    wharfie content ls 'labels.team==base'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the digests.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool) -> None:
    """List blobs."""
    blobs = settings.client().content.list(filters)
    if settings.json:
        print_json(plain(blobs))
    elif quiet:
        print_lines(blob.digest for blob in blobs)
    else:
        now_ns = time.time_ns()
        print_table(
            ("DIGEST", "SIZE", "AGE", "LABELS"),
            (
                (blob.digest, spoken(blob.size), ago(blob.created_at_ns, now_ns), labels_text(blob.labels))
                for blob in blobs
            ),
        )


@command(
    "inspect",
    examples="""
    wharfie content inspect sha256:…
    """,
)
@digests_argument
@pass_settings
def inspect(settings: Settings, /, digests: tuple[str, ...]) -> None:
    """Show what is known of blobs, as JSON."""
    client = settings.client()
    print_json([plain(client.content.info(digest)) for digest in digests])


@command(
    "get",
    examples="""
    wharfie content get sha256:… > blob
    wharfie content get -o blob sha256:…
    """,
)
@option("--offset", default=0, type=click.IntRange(min=0), metavar="BYTES", help="Begin here.")
@option("--size", default=0, type=click.IntRange(min=0), metavar="BYTES", help="So many.  [default: to the end]")
@option("-o", "--output", default="-", type=click.Path(allow_dash=True), metavar="FILE", help="[default: stdout]")
@digests_argument
@pass_settings
def get(settings: Settings, /, digests: tuple[str, ...], *, offset: int, size: int, output: str) -> None:
    """Write blobs to standard output or into a file, as they are, one behind the other."""
    client = settings.client()
    out = sys.stdout.buffer if output == "-" else open(output, "wb")  # noqa: SIM115 - closed below
    try:
        for digest in digests:
            # Bytes on a terminal and a line that tells of them would write over one another.
            with Meter(short_id(digest), is_shown=False if out.isatty() else None) as meter:
                done = 0
                for piece in client.content.stream(digest, offset=offset, size=size, timeout_s=settings.wait_s):
                    out.write(piece)
                    done += len(piece)
                    meter.show(done)
        out.flush()
    finally:
        if output != "-":
            out.close()


@command(
    "stat",
    examples="""
    wharfie content stat sha256:…
    wharfie content stat upload-1
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="DIGEST|REF...", shell_complete=complete.blobs)
@pass_settings
def stat(settings: Settings, /, names: tuple[str, ...]) -> int:
    """Show blobs by digest, and ingests by ref: size, times, labels."""
    client = settings.client()
    did, code = each(names, lambda name: _stat(client, name, as_json=settings.json))
    click.echo(f"[{', '.join(did)}]" if settings.json else "\n".join(did), nl=settings.json)
    return code


def _stat(client: Client, name: str, *, as_json: bool) -> str:
    from wharfie.identifiers import is_digest

    found = client.content.info(name) if is_digest(name) else client.content.status(name)
    return json_text(plain(found), indent=False) if as_json else fields(facts_of(found, time.time_ns()))


def facts_of(found: Info | Status, now_ns: int) -> list[tuple[str, object]]:
    """What a person wants to know of a blob or an ingest. Pure."""
    from wharfie.types.content import Info

    if isinstance(found, Info):
        return [
            ("digest", found.digest),
            ("size", f"{found.size} ({spoken(found.size)})"),
            ("created", f"{ago(found.created_at_ns, now_ns)} ago"),
            ("updated", f"{ago(found.updated_at_ns, now_ns)} ago"),
            *((f"label {key}", value) for key, value in sorted(found.labels.items())),
        ]
    return [
        ("ref", found.ref),
        ("size", f"{found.offset} ({spoken(found.offset)})"),
        ("total", f"{found.total} ({spoken(found.total)})" if found.total else "-"),
        ("expected", found.expected or "-"),
        ("started", f"{ago(found.started_at_ns, now_ns)} ago"),
        ("updated", f"{ago(found.updated_at_ns, now_ns)} ago"),
    ]


@command(
    "active",
    examples="""
    wharfie content active
    """,
)
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def active(settings: Settings, /, filters: Sequence[str]) -> None:
    """List ingests that are under way or were left."""
    statuses = settings.client().content.statuses(filters)
    if settings.json:
        print_json(plain(statuses))
        return
    now_ns = time.time_ns()
    print_table(
        ("REF", "SIZE", "TOTAL", "AGE"),
        (
            (
                status.ref,
                spoken(status.offset),
                spoken(status.total) if status.total else "-",
                ago(status.started_at_ns, now_ns),
            )
            for status in statuses
        ),
    )


@command(
    "abort",
    examples="""
    wharfie content abort upload-1
    """,
)
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@pass_settings
def abort(settings: Settings, /, refs: tuple[str, ...]) -> int:
    """Drop ingests and their bytes."""
    client = settings.client()

    def remove(ref: str) -> str:
        client.content.abort(ref)
        return ref

    return do(settings, refs, remove, "ref")


@command(
    "rm",
    examples="""
    wharfie content rm sha256:…
    """,
)
@digests_argument
@pass_settings
def rm(settings: Settings, /, digests: tuple[str, ...]) -> int:
    """Make this namespace forget blobs; the bytes go when no namespace names them."""
    client = settings.client()

    def remove(digest: str) -> str:
        client.content.delete(digest)
        return digest

    return do(settings, digests, remove, "digest")


@command(
    "label",
    examples="""
    wharfie content label sha256:… keep=yes old=
    """,
)
@click.argument("digest", shell_complete=complete.blobs)
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, digest: str, labels: tuple[str, ...]) -> None:
    """Change a blob's labels and print them; 'KEY=' removes one."""
    client = settings.client()
    changes = parse_labels(labels)
    info = client.content.update(digest, changes, mask=label_mask(changes)) if changes else client.content.info(digest)
    if settings.json:
        print_json(info.labels)
    else:
        print_lines(f"{key}={value}" for key, value in sorted(info.labels.items()))


for _verb in (ls, inspect, stat, get, ingest, edit, active, abort, rm, label, check, prune):
    content.add_command(_verb)
