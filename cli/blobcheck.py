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
@option("--repair", is_flag=True, help="Remove damaged bytes, and fetch them again for the images that need them.")
@click.argument("image", default="", metavar="[IMAGE]", shell_complete=complete.images)
@pass_settings
def check(settings: Settings, /, image: str, *, repair: bool) -> int:
    """Read blobs and compare them with their digests: all of the namespace, or those of an image.

    Prints those that are not as they should be, and exits with 1 when any is left so. With --repair damaged bytes are
    removed and fetched again from the registries that the blobs' labels or the images' names say. Names and labels stay
    in any case, and storing such a blob again, by a pull, an import or an ingest, makes it whole.
    """
    client = settings.client()
    seen: list[Checked] = []

    def run(name: str) -> None:
        with Meter("check", is_shown=False if settings.json else None) as meter:
            for item in client.content.check(image=name, remove_damaged=repair, timeout_s=settings.wait_s):
                seen.append(item)
                meter.show(item.done, total=item.total)

    name = with_image(client, image, run)[0] if image else ""
    if not image:
        run("")
    damaged = [item for item in seen if item.state != "ok"]
    repaired: set[str] = set()
    if repair and damaged:
        from cli.blobrepair import fetch_again

        repaired = fetch_again(settings, {item.digest: item.size for item in damaged}, image=name)
    count, size = len(seen), sum(item.size for item in seen)
    left = [item for item in damaged if item.digest not in repaired]
    if settings.json:
        print_json({"checked": count, "bytes": size, "damaged": plain(damaged), "repaired": sorted(repaired)})
        return 1 if left else 0
    if damaged:
        print_table(
            ("DIGEST", "STATE", "SIZE", "FOUND"),
            (
                (item.digest, _state(item, repaired), spoken(item.size), spoken(item.found) if item.found >= 0 else "-")
                for item in damaged
            ),
        )
    click.echo(f"{count} blobs, {spoken(size)}: {_summary(len(damaged), len(left))}")
    return 1 if left else 0


def _state(item: Checked, repaired: set[str]) -> str:
    if item.digest in repaired:
        return f"{item.state}, repaired"
    return f"{item.state}, removed" if item.removed else str(item.state)


def _summary(damaged: int, left: int) -> str:
    if not damaged:
        return "all as they should be"
    return f"{damaged} damaged, {damaged - left} repaired" if left < damaged else f"{damaged} damaged"
