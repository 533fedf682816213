"""`wharfie image mount` and `unmount`: an image's files at a directory of this machine.

The mount is made here, not by the daemon: it needs root, and is in the mount namespace of whoever asked.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.duration import timestamp
from cli.group import command, option, seconds
from cli.output import print_json
from cli.resolve import with_image
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie._sync.client import Client

ROOT = "containerd.io/gc.root"
"""Label that keeps a snapshot while nothing refers to it."""

IMAGE = "wharfie.io/mounted-image"
"""Label that tells what is mounted."""


@command(
    "mount",
    examples="""
    wharfie image mount busybox /mnt
    wharfie image mount --rw --expires 1h busybox /mnt
    """,
)
@option("--rw", "is_writable", is_flag=True, help="What is written goes into a snapshot of the mount's own.")
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
@option(
    "--expires", callback=seconds, metavar="DURATION", help="Let the snapshot go after this time.  [default: never]"
)
@click.argument("image", shell_complete=complete.images)
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@pass_settings
def mount(
    settings: Settings,
    /,
    image: str,
    directory: str,
    *,
    is_writable: bool,
    platform: str,
    snapshotter: str,
    expires: float | None,
) -> None:
    """Mount an image's files at a directory, read-only; needs root.

    A snapshot named like the directory keeps them until 'wharfie image unmount'.
    """
    from linux.mount import mount_all

    client = settings.client()
    _local(client)
    place = os.path.realpath(directory)
    name, chain_id = with_image(
        client,
        image,
        lambda found: client.images.unpack(
            found, snapshotter=snapshotter, platform=platform, timeout_s=settings.wait_s
        ),
    )
    labels = {IMAGE: name}
    if expires is None:
        labels[ROOT] = timestamp(time.time_ns())
        user = client
    else:
        user = client.with_lease(client.leases.create(expires_in_s=expires).id)
    make = user.snapshots.prepare if is_writable else user.snapshots.view
    mounts = make(place, chain_id, snapshotter=snapshotter, labels=labels)
    try:
        mount_all([(one.type, one.source, one.target, tuple(one.options)) for one in mounts], root=place)
    except BaseException:
        client.snapshots.remove(place, snapshotter=snapshotter)
        raise
    if settings.json:
        print_json({"name": name, "directory": place, "chain_id": chain_id})
    else:
        click.echo(place)


@command(
    "unmount",
    examples="""
    wharfie image unmount /mnt
    """,
)
@option("--keep", is_flag=True, help="Keep the snapshot, with what was written.")
@option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
@click.argument("directory", type=click.Path(file_okay=False))
@pass_settings
def unmount(settings: Settings, /, directory: str, *, keep: bool, snapshotter: str) -> None:
    """Unmount an image from a directory and remove its snapshot; needs root."""
    from linux.mount import unmount_beneath
    from wharfie import errors

    client = settings.client()
    _local(client)
    place = os.path.realpath(directory)
    try:
        known = client.snapshots.stat(place, snapshotter=snapshotter)
    except errors.NotFound:
        raise errors.NotFound(
            f"no image is mounted at '{place}' from namespace '{client.namespace}'", details={"directory": place}
        ) from None
    with contextlib.suppress(FileNotFoundError):
        unmount_beneath(place)
    if not keep:
        client.snapshots.remove(place, snapshotter=snapshotter)
    if settings.json:
        print_json({"directory": place, "name": known.labels.get(IMAGE, "")})
    else:
        click.echo(place)


def _local(client: Client) -> None:
    if client.address.startswith("tcp://"):
        raise click.UsageError("an image is mounted on the daemon's own machine: run this there")
