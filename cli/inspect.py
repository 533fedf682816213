"""`wharfie inspect`: everything that is known of a container or an image."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.group import command
from cli.output import plain, print_json
from cli.resolve import container as resolve
from cli.resolve import with_image
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie._sync.client import Client
    from wharfie._sync.containers import Container


@command(
    "inspect",
    examples="""
    wharfie inspect web
    wharfie inspect busybox:latest
    """,
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.containers)
@pass_settings
def inspect(settings: Settings, /, names: tuple[str, ...]) -> None:
    """Show containers or images as JSON.

    Of a container its record, its task and its snapshot; of an image its record, variants, manifest and
    configuration. A name that both have is the container's.
    """
    client = settings.client()
    print_json([_one(client, name) for name in names])


def _one(client: Client, name: str) -> dict[str, Any]:
    from wharfie import errors

    try:
        return of_container(client, resolve(client, name))
    except errors.NotFound as missing:
        try:
            return with_image(client, name, lambda found: of_image(client, found))[1]
        except errors.NotFound as error:
            if error.details.get("kind") == "image":
                raise errors.NotFound(
                    f"neither a container nor an image '{name}' in namespace '{client.namespace}'",
                    details=missing.details,
                ) from None
            raise


def of_container(client: Client, container: Container) -> dict[str, Any]:
    """A container's record, with its task and its snapshot (None where there is none)."""
    from wharfie import errors

    record = container.record
    task = snapshot = None
    with contextlib.suppress(errors.NotFound):
        task = client.tasks.get(record.id)
    if record.snapshot_key:
        with contextlib.suppress(errors.NotFound):
            snapshot = client.snapshots.stat(record.snapshot_key, snapshotter=record.snapshotter)
    return {"container": plain(record), "task": plain(task), "snapshot": plain(snapshot)}


def of_image(client: Client, name: str, platform: str = "") -> dict[str, Any]:
    """An image's record, its variants, and manifest and configuration of one: for `platform`, or this machine's, or
    what there is. Both are None when they are not here.

    Raises:
        NotFound: no such image, or it has nothing for the platform.
    """
    from wharfie import errors
    from wharfie.oci.variants import best

    (checked,) = client.images.check([name])
    chosen = best(checked.variants, platform=platform)
    if chosen is None and platform:
        raise errors.NotFound(
            f"image '{name}' has no manifest for platform '{platform}'", details={"field": "platform"}
        )
    manifest = config = None
    if chosen is not None and chosen.status != "unavailable":
        from wharfie.oci.image_config import decode_image_config
        from wharfie.oci.manifest import decode_document

        manifest = decode_document(client.content.read(chosen.manifest.digest))
        if chosen.is_image and chosen.required[1].digest not in chosen.missing:
            config = decode_image_config(client.content.read(chosen.required[1].digest))
    return {
        "image": plain(checked.image),
        "platform": chosen.platform if chosen is not None else "",
        "variants": [
            {
                "platform": one.platform,
                "digest": one.manifest.digest,
                "status": one.status,
                "is_image": one.is_image,
                "is_unpacked": one.is_image and one.platform in checked.unpacked,
            }
            for one in checked.variants
        ],
        "manifest": plain(manifest),
        "config": plain(config),
    }
