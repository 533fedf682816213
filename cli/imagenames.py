"""Names of images: `ls`, `tag`, `rm`, `label` and `unpack` below `wharfie image`; three of them are at the top, too."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.duration import ago
from cli.each import do, done
from cli.group import command, option
from cli.labels import label_mask, parse_labels
from cli.output import plain, print_json, print_lines, print_table, short_id
from cli.resolve import with_image
from cli.settings import Settings, pass_settings
from cli.size import spoken
from cli.template import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie._sync.imagefacts import Checked
    from wharfie.types.images import Image


@command(
    "ls",
    examples="""
    wharfie images
    wharfie images 'name~=busybox'
    wharfie images -q
    wharfie images --format '{{.name}} {{.target.digest}}'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names.")
@option("--no-trunc", "whole", is_flag=True, help="Shorten nothing.")
@option("--digests", is_flag=True, help="Whole digests.")
@option("--format", "template", default="", metavar="TEMPLATE", help="A line each: {{.field}} of what --json prints.")
@option("-f", "--filter", "more", multiple=True, metavar="FILTER", help="The same as an argument.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(
    settings: Settings,
    /,
    filters: Sequence[str],
    *,
    quiet: bool,
    whole: bool,
    digests: bool,
    template: str,
    more: Sequence[str],
) -> None:
    """List images.

    The size is that of the image's blobs in the content store, the platforms are those of which everything is here.
    """
    client = settings.client()
    wanted = [*filters, *more]
    if quiet and not settings.json:
        print_lines(record.name for record in client.images.list(wanted))
        return
    found = client.images.check(filters=wanted)
    if settings.json or template:
        rows = [
            {
                **plain(one.image),
                "size": one.content_bytes,
                "platform": one.best.platform if one.best is not None and not one.best.missing else "",
                "platforms": _platforms(one),
            }
            for one in found
        ]
        if not template:
            print_json(rows)
            return
        try:
            print_lines([filled(template, row) for row in rows])
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--format") from None
        return
    now_ns = time.time_ns()
    print_table(
        ("NAME", "DIGEST", "PLATFORM", "CREATED", "SIZE"),
        (
            (
                one.image.name,
                one.image.target.digest if whole or digests else short_id(one.image.target.digest),
                ",".join(_platforms(one)) or "-",
                ago(one.image.created_at_ns, now_ns),
                spoken(one.content_bytes) if one.content_bytes else "-",
            )
            for one in found
        ),
    )


def _platforms(checked: Checked) -> list[str]:
    """The platforms of which everything is here."""
    return [*dict.fromkeys(one.platform for one in checked.variants if one.is_image and not one.missing)]


@command(
    "tag",
    examples="""
    wharfie tag busybox:latest mine:1
    """,
)
@option("--no-force", is_flag=True, help="Fail when the new name is taken; without it that image loses it.")
@click.argument("source", metavar="IMAGE", shell_complete=complete.images)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@pass_settings
def tag(settings: Settings, /, source: str, names: tuple[str, ...], *, no_force: bool) -> None:
    """Give an image one more name."""
    client = settings.client()

    def give(found: str) -> list[Image]:
        return [client.images.tag(found, name, force=not no_force) for name in names]

    tagged = with_image(client, source, give)[1]
    done(settings, [record.name for record in tagged], "name")


@command(
    "rm",
    examples="""
    wharfie rmi mine:1
    wharfie rmi --async mine:1 mine:2
    """,
)
@option("-f", "--force", is_flag=True, help="A missing one is no error, and one that a container uses goes, too.")
@option("--async", "is_async", is_flag=True, help="Do not wait until what only they needed is gone.")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete.images)
@pass_settings
def rm(settings: Settings, /, names: tuple[str, ...], *, force: bool, is_async: bool) -> int:
    """Remove names of images, and what only they needed.

    Containers made from an image are not touched, but 'wharfie commit' and making more of them need its name.
    """
    from wharfie import errors

    client = settings.client()
    users: dict[str, list[str]] = {}
    for found in client.containers.list(without_spec=True):
        users.setdefault(found.record.image, []).append(found.id)

    def delete(name: str) -> None:
        used_by = ", ".join(users.get(name, ())[:3])
        if used_by and not force:
            client.images.get(name)
            raise errors.FailedPrecondition(
                f"image '{name}' is used by container {used_by}; remove it first, or use --force",
                details={"kind": "used", "name": name},
            )
        client.images.delete(name)
        if used_by:
            sys.stderr.write(f"warning: image '{name}' is still used by container {used_by}\n")

    def remove(name: str) -> str | None:
        try:
            return with_image(client, name, delete)[0]
        except errors.NotFound:
            if not force:
                raise
            return None

    code = do(settings, names, remove, "name")
    if not is_async:
        client.gc.run(timeout_s=settings.wait_s)
    return code


@command(
    "label",
    examples="""
    wharfie image label busybox:latest team=base old=
    """,
)
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, name: str, labels: tuple[str, ...]) -> None:
    """Change an image's labels and print them; 'KEY=' removes one."""
    import msgspec

    client = settings.client()
    record = with_image(client, name, client.images.get)[1]
    changes = parse_labels(labels)
    if changes:
        changed = msgspec.structs.replace(record, labels=changes)
        record = client.images.update(changed, mask=label_mask(changes))
    if settings.json:
        print_json(record.labels)
    else:
        print_lines(f"{key}={value}" for key, value in sorted(record.labels.items()))


@command(
    "unpack",
    examples="""
    wharfie image unpack busybox:latest
    """,
)
@option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@pass_settings
def unpack(settings: Settings, /, name: str, **options: Any) -> None:
    """Make an image's layers ready to run; print the snapshot they became."""
    client = settings.client()
    found, chain_id = with_image(
        client, name, lambda name: client.images.unpack(name, timeout_s=settings.wait_s, **options)
    )
    if settings.json:
        print_json({"name": found, "chain_id": chain_id})
    else:
        click.echo(chain_id)
