"""`wharfie push`: an image of the daemon to a registry."""

from __future__ import annotations

import click

from cli import complete
from cli.group import command, option
from cli.layers import shown
from cli.output import print_json_line
from cli.resolve import with_image
from cli.settings import Settings, pass_settings


@command(
    "push",
    examples="""
    wharfie push ghcr.io/org/app:1.2
    wharfie push app localhost:5000/app:1.2
    wharfie push --platform linux/amd64 app localhost:5000/app
    """,
)
@option("-q", "--quiet", is_flag=True, help="Print only the reference.")
@option("--platform", default="", metavar="OS/ARCH", help="Only this one.  [default: all of the image]")
@option("--plain-http", is_flag=True, help="Speak http to hosts that no hosts.toml describes.")
@option("--skip-verify", is_flag=True, help="Believe any certificate of such hosts.")
@click.argument("image", shell_complete=complete.images)
@click.argument("reference", required=False, default="", metavar="[REFERENCE]")
@pass_settings
def push(
    settings: Settings,
    /,
    image: str,
    reference: str,
    *,
    quiet: bool,
    platform: str,
    plain_http: bool,
    skip_verify: bool,
) -> None:
    """Push an image to a registry.

    Without REFERENCE the image's name says where to. What the registry has already is not sent; what another repository
    of it has is mounted from there. With --json, a line for each step.
    """
    from cli.registrycredentials import credentials_of
    from wharfie.reference import Reference

    client = settings.client()
    name, _ = with_image(client, image, client.images.get)
    host = Reference.parse(reference or name).host
    with shown(settings, quiet=quiet) as progress:
        pushed = client.images.push(
            name,
            reference,
            platform=platform,
            credentials=credentials_of([host]),
            plain_http=plain_http,
            skip_verify=skip_verify,
            on_progress=progress,
            timeout_s=settings.wait_s,
        )
    if settings.json:
        print_json_line(pushed)
    elif quiet:
        click.echo(pushed.ref)
    else:
        click.echo(f"{pushed.ref} {pushed.target.digest}")
