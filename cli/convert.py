"""`wharfie image convert`: an image with the same files in another form."""

from __future__ import annotations

import click

from cli import complete
from cli.group import command, option
from cli.load import progress_shown
from cli.output import plain, print_json
from cli.resolve import with_image
from cli.settings import Settings, pass_settings


@command(
    "convert",
    examples="""
    wharfie image convert --oci --zstd app:1 app:1-zstd
    wharfie image convert --platform linux/arm64 app:1 app:1-arm64
    """,
)
@option("--oci", is_flag=True, help="Media types of OCI instead of Docker's.")
@option("--zstd", "compression", flag_value="zstd", default=None, help="Compress the layers by zstd.")
@option("--gzip", "compression", flag_value="gzip", help="Compress the layers by gzip.")
@option("--uncompress", "compression", flag_value="none", help="Do not compress the layers.")
@option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="Keep these.  [default: this machine's]")
@option("--all-platforms", is_flag=True, help="Keep every platform; all of it has to be here.")
@click.argument("source", metavar="IMAGE", shell_complete=complete.images)
@click.argument("name", metavar="NAME")
@pass_settings
def convert(
    settings: Settings,
    /,
    source: str,
    name: str,
    *,
    oci: bool,
    compression: str | None,
    platforms: tuple[str, ...],
    all_platforms: bool,
) -> None:
    """Make an image in another form, with the same files.

    A layer that is compressed anew is held against the digest of its tar that the image's configuration has.
    """
    client = settings.client()
    with progress_shown(settings) as show:
        done = with_image(
            client,
            source,
            lambda found: client.images.convert(
                found,
                name,
                platforms=platforms,
                all_platforms=all_platforms,
                oci=oci,
                compression=compression or "",
                on_progress=show,
                timeout_s=settings.wait_s,
            ),
        )[1]
    if settings.json:
        print_json(plain(done))
    else:
        click.echo(f"{done.image.name} {done.image.target.digest}")
