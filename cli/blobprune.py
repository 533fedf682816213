"""`wharfie content prune`: space from blobs that nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.output import plain, print_json, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from wharfie._sync.client import Client


@command(
    "prune",
    examples="""
    wharfie content prune --dry-run
    wharfie content prune
    wharfie content prune references
    """,
)
@option("--dry-run", "dry", is_flag=True, help="Only tell what would go.")
@option("--async", "is_async", is_flag=True, help="Of 'references': leave collecting to the daemon's schedule.")
@click.argument("what", default="", type=click.Choice(["", "references"]), metavar="[references]")
@pass_settings
def prune(settings: Settings, /, what: str, *, dry: bool, is_async: bool) -> None:
    """Collect garbage: blobs that nothing refers to, in all namespaces.

    With 'references' the manifests of this namespace first let go of their layers. Images that are unpacked still run;
    their layers have to be fetched again before they can be pushed, exported or unpacked.
    """
    client = settings.client()
    released = _release(client, dry=dry) if what else []
    if dry:
        _tell(settings, client, released)
        return
    done = None if what and is_async else client.gc.run(timeout_s=settings.wait_s)
    if settings.json:
        print_json({"released": released, "collected": plain(done)})
        return
    if what:
        click.echo(f"{len(released)} references to layers removed")
    if done is not None:
        click.echo(f"{done.blobs} blobs and {done.files} files removed, {spoken(done.bytes)} freed")


def _release(client: Client, *, dry: bool) -> list[str]:
    """Have every manifest let go of its layers. Returns: the digests of those layers, one for each reference."""
    from actors.transfer.blobs import GC_LAYER

    released: list[str] = []
    for blob in client.content.list():
        layers = {key: value for key, value in blob.labels.items() if key.startswith(GC_LAYER)}
        if layers and not dry:
            client.content.update(blob.digest, {}, mask=[f"labels.{key}" for key in layers])
        released.extend(layers.values())
    return released


def _tell(settings: Settings, client: Client, released: list[str]) -> None:
    """What would go: what nothing holds now, and the references that would be removed."""
    orphans = client.gc.orphans(timeout_s=settings.wait_s)
    blobs = [orphan for orphan in orphans.things if orphan.type == "content"]
    if settings.json:
        print_json({"released": released, "blobs": plain(blobs), "files": orphans.files})
        return
    rows = [(blob.namespace, blob.id, spoken(blob.size) if blob.size >= 0 else "-") for blob in blobs]
    rows += [("-", digest, "-") for digest in orphans.files]
    rows += [(client.namespace, digest, "referred to") for digest in released]
    print_table(("NAMESPACE", "DIGEST", "SIZE"), rows)
