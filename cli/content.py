"""`wharfie content`: blobs by digest, and the ingests they grow from."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.duration import ago
from cli.each import do
from cli.group import Noun, command, option
from cli.labels import label_mask, parse_labels
from cli.output import labels_text, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie._sync.client import Client
    from wharfie.types.content import Info

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
    """,
)
@option("--offset", default=0, type=click.IntRange(min=0), metavar="BYTES", help="Begin here.")
@option("--size", default=0, type=click.IntRange(min=0), metavar="BYTES", help="So many.  [default: to the end]")
@digests_argument
@pass_settings
def get(settings: Settings, /, digests: tuple[str, ...], *, offset: int, size: int) -> None:
    """Write blobs to standard output, as they are."""
    client = settings.client()
    for digest in digests:
        for piece in client.content.stream(digest, offset=offset, size=size, timeout_s=settings.wait_s):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@command(
    "ingest",
    examples="""
    wharfie content ingest --expected-digest sha256:… upload-1 < blob
    """,
)
@option("--expected-size", default=0, type=click.IntRange(min=0), metavar="BYTES", help="Refuse another size.")
@option("--expected-digest", default="", metavar="DIGEST", help="Refuse other bytes.")
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the blob.")
@click.argument("ref")
@pass_settings
def ingest(
    settings: Settings, /, ref: str, *, expected_size: int, expected_digest: str, labels: tuple[str, ...]
) -> None:
    """Store standard input as a blob and print its digest.

    REF names the ingest until it is whole; one that fails stays, 'content active' lists it, 'content abort' drops it.
    A blob that is there already is no error.
    """
    client = settings.client()
    info = _ingest(client, ref, expected_size, expected_digest, parse_labels(labels))
    if settings.json:
        print_json(plain(info))
    else:
        click.echo(info.digest)


def _ingest(client: Client, ref: str, size: int, expected: str, labels: dict[str, str]) -> Info:
    from wharfie import errors
    from wharfie._sync.content import CHUNK_BYTES

    offset = 0
    try:
        while data := sys.stdin.buffer.read(CHUNK_BYTES):
            client.content.write(ref, data, offset=offset, total=size, expected=expected)
            offset += len(data)
        if not offset:
            client.content.write(ref, b"", offset=0, total=size, expected=expected)
        return client.content.commit(ref, size=size or offset, expected=expected, labels=labels)
    except errors.AlreadyExists as error:
        return client.content.info(str(error.details.get("digest") or expected))


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


for _verb in (ls, inspect, get, ingest, active, abort, rm, label):
    content.add_command(_verb)
