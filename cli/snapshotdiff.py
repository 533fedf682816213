"""`wharfie snapshot diff`: what a snapshot has and its parent has not, as lines or as a layer."""

from __future__ import annotations

import sys

import click

from cli import complete
from cli.group import command, option
from cli.output import plain, print_json, print_lines, visible
from cli.settings import Settings, pass_settings

_MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}


@command(
    "diff",
    examples="""
    wharfie snapshot diff work
    wharfie snapshot diff -o layer.tar.gz work
    wharfie snapshot diff -o - --compression none work | tar -t
    """,
)
@option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
@option("-o", "--output", type=click.Path(allow_dash=True), metavar="FILE", help="Write a layer there instead.")
@option("--compression", type=click.Choice(tuple(_MEDIA_TYPES)), default="gzip", help="Of the layer.  [default: gzip]")
@option(
    "--source-date-epoch",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    envvar="SOURCE_DATE_EPOCH",
    help="No file in the layer is newer.",
)
@click.argument("key", shell_complete=complete.snapshots)
@pass_settings
def diff(
    settings: Settings,
    /,
    key: str,
    *,
    snapshotter: str,
    output: str | None,
    compression: str,
    source_date_epoch: int | None,
) -> None:
    """Show what a snapshot has changed beside its parent, or write that as a layer.

    One line for each path: A is added, C is changed (a directory also when only something in it is), D is deleted. The
    layer stays in the content store too, for as long as an upload without a lease does.
    """
    client = settings.client()
    if output is None:
        changes = client.diff.changes(key, snapshotter=snapshotter, timeout_s=settings.wait_s)
        if settings.json:
            print_json([plain(change) for change in changes])
        else:
            print_lines(f"{change.kind} {visible(change.path)}" for change in changes)
        return
    made = client.diff.create(
        key,
        snapshotter=snapshotter,
        media_type=_MEDIA_TYPES[compression],
        source_date_epoch=source_date_epoch,
        timeout_s=settings.wait_s,
    )
    out = sys.stdout.buffer if output == "-" else open(output, "wb")  # noqa: SIM115 - closed below
    try:
        for piece in client.content.stream(made.descriptor.digest, timeout_s=settings.wait_s):
            out.write(piece)
        out.flush()
    finally:
        if output != "-":
            out.close()
    if output != "-":
        if settings.json:
            print_json(plain(made))
        else:
            click.echo(made.descriptor.digest)
