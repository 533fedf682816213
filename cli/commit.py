"""`wharfie commit`: an image of what a container has changed."""

from __future__ import annotations

import click

from cli import complete
from cli.group import command, option
from cli.output import plain, print_json
from cli.resolve import container as resolve
from cli.resolve import image_names
from cli.settings import Settings, pass_settings


@command(
    "commit",
    examples="""
    wharfie commit web web:patched
    wharfie commit -m 'with tools' -a 'Ann <ann@example.org>' build tools:2
    wharfie commit -c 'CMD ["httpd", "-f"]' -c 'ENV MODE=live' web web:live
    """,
)
@option("-m", "--message", default="", metavar="TEXT", help="What changed, for the image's history.")
@option("-a", "--author", default="", metavar="NAME", help="Who made it.")
@option(
    "-c",
    "--change",
    "changes",
    multiple=True,
    metavar="INSTRUCTION",
    help="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, as in a Dockerfile.",
)
@option(
    "--compression",
    type=click.Choice(("gzip", "zstd", "none")),
    default="gzip",
    show_default=True,
    help="Of the new layer.",
)
@option(
    "--source-date-epoch",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    envvar="SOURCE_DATE_EPOCH",
    help="When it was made; no file is newer. The same files then make the same image.",
)
@click.argument("container", metavar="CONTAINER", shell_complete=complete.containers)
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@pass_settings
def commit(
    settings: Settings,
    /,
    container: str,
    name: str,
    *,
    message: str,
    author: str,
    changes: tuple[str, ...],
    compression: str,
    source_date_epoch: int | None,
) -> None:
    """Make an image of what a container has changed.

    The image is the container's own with one more layer. An image that has the name loses it. The container may run:
    it is not paused, so stop it first when it is writing something that must be whole. Prints the image's digest.
    """
    client = settings.client()
    found = resolve(client, container)
    done = client.images.commit(
        found.id,
        image_names(name)[-1],
        author=author,
        message=message,
        changes=changes,
        compression=compression,
        source_date_epoch=source_date_epoch,
        timeout_s=settings.wait_s,
    )
    if settings.json:
        print_json(plain(done))
    else:
        click.echo(done.image.target.digest)
