"""`wharfie content check`: whether the bytes of blobs are what their digests say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import complete
from cli.group import command, option
from cli.meter import Meter
from cli.output import plain, print_json, print_table
from cli.resolve import with_image
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from wharfie.types.content import Checked


@command(
    "check",
    examples="""
    wharfie content check
    wharfie content check --repair busybox:latest
    """,
)
@option("--repair", is_flag=True, help="Remove damaged bytes, so that a pull or import stores the blob again.")
@click.argument("image", default="", metavar="[IMAGE]", shell_complete=complete.images)
@pass_settings
def check(settings: Settings, /, image: str, *, repair: bool) -> int:
    """Read blobs and compare them with their digests: all of the namespace, or those of an image.

    Prints those that are not as they should be, and exits with 1 when there are any. With --repair the bytes of
    damaged blobs are removed; their names and labels stay, and storing such a blob again makes it whole.
    """
    client = settings.client()
    seen: list[Checked] = []

    def run(name: str) -> None:
        with Meter("check", is_shown=False if settings.json else None) as meter:
            for item in client.content.check(image=name, remove_damaged=repair, timeout_s=settings.wait_s):
                seen.append(item)
                meter.show(item.done, total=item.total)

    if image:
        with_image(client, image, run)
    else:
        run("")
    found = [item for item in seen if item.state != "ok"]
    count, size = len(seen), sum(item.size for item in seen)
    if settings.json:
        print_json({"checked": count, "bytes": size, "damaged": plain(found)})
    else:
        if found:
            print_table(
                ("DIGEST", "STATE", "SIZE", "FOUND"),
                (
                    (
                        item.digest,
                        f"{item.state}, removed" if item.removed else item.state,
                        spoken(item.size),
                        spoken(item.found) if item.found >= 0 else "-",
                    )
                    for item in found
                ),
            )
        click.echo(f"{count} blobs, {spoken(size)}: {f'{len(found)} damaged' if found else 'all as they should be'}")
    return 1 if found else 0
