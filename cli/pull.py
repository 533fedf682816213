"""`wharfie pull`: an image from a registry into the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.layers import shown
from cli.output import print_json_line
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie.types.pull import Pulled


@command(
    "pull",
    examples="""
    wharfie pull busybox
    wharfie pull --platform linux/arm64 ghcr.io/org/app:1.2
    wharfie pull --quiet localhost:5000/app@sha256:…
    """,
)
@option("-q", "--quiet", is_flag=True, help="Print only the image's name.")
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@option("--all-platforms", is_flag=True, help="Fetch the content of every platform.")
@option("--no-unpack", is_flag=True, help="Store the content only; unpack at the first run.")
@option("--snapshotter", default="", metavar="NAME", help="Unpack into this one.  [default: the daemon's]")
@option("--name", default="", metavar="NAME", help="Of the image here.  [default: the reference in full]")
@option("--plain-http", is_flag=True, help="Speak http to hosts that no hosts.toml describes.")
@option("--skip-verify", is_flag=True, help="Believe any certificate of such hosts.")
@click.argument("reference", metavar="REFERENCE")
@pass_settings
def pull(
    settings: Settings,
    /,
    reference: str,
    *,
    quiet: bool,
    platform: str,
    all_platforms: bool,
    no_unpack: bool,
    snapshotter: str,
    name: str,
    plain_http: bool,
    skip_verify: bool,
) -> None:
    """Pull an image from a registry.

    'busybox' is docker.io/library/busybox:latest. What is here already is not fetched, and an interrupted pull goes on
    where it was. Credentials are those of 'wharfie login' and 'docker login'. With --json, a line for each step.
    """
    pulled = fetch(
        settings,
        reference,
        quiet=quiet,
        platform=platform,
        all_platforms=all_platforms,
        unpack=not no_unpack,
        snapshotter=snapshotter,
        name=name,
        plain_http=plain_http,
        skip_verify=skip_verify,
    )
    if settings.json:
        print_json_line(pulled)
    elif quiet:
        click.echo(pulled.image.name)
    else:
        click.echo(f"{pulled.image.name} {pulled.image.target.digest}")


def fetch(
    settings: Settings,
    reference: str,
    *,
    quiet: bool = False,
    platform: str = "",
    all_platforms: bool = False,
    unpack: bool = True,
    snapshotter: str = "",
    name: str = "",
    plain_http: bool = False,
    skip_verify: bool = False,
    attempts: int = 0,
) -> Pulled:
    """Pull and show it; also what 'wharfie run' does with an image that is not here."""
    from cli.registrycredentials import credentials_of
    from wharfie.reference import Reference

    host = Reference.parse(reference).host
    with shown(settings, quiet=quiet) as progress:
        return settings.client().images.pull(
            reference,
            name=name,
            platform=platform,
            all_platforms=all_platforms,
            unpack=unpack,
            snapshotter=snapshotter,
            credentials=credentials_of([host]),
            plain_http=plain_http,
            skip_verify=skip_verify,
            attempts=attempts,
            on_progress=progress,
            timeout_s=settings.wait_s,
        )
