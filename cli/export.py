"""`wharfie export`: images of the daemon into an archive."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import IO, TYPE_CHECKING

import click

from cli import complete
from cli.group import command, option
from cli.meter import Meter
from cli.output import plain, print_json
from cli.resolve import with_image
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wharfie.types.transfer import Progress


@command(
    "export",
    examples="""
    wharfie export -o busybox.tar busybox
    wharfie save busybox mine:1 | gzip > both.tar.gz
    wharfie export --all-platforms -o every.tar app:1
    """,
)
@option("-o", "--output", default="-", type=click.Path(allow_dash=True), metavar="FILE|-", help="[default: stdout]")
@option("--platform", "platforms", multiple=True, metavar="OS/ARCH", help="[default: this machine's]")
@option("--all-platforms", is_flag=True, help="Everything that the images list; all of it has to be here.")
@option("--skip-missing", is_flag=True, help="Leave out platforms of which not everything is here.")
@option("--skip-manifest-json", is_flag=True, help="Leave out what only 'docker load' reads.")
@option("--skip-non-distributable", is_flag=True, help="Leave out layers that may not be passed on.")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete.images)
@pass_settings
def export(
    settings: Settings,
    /,
    names: tuple[str, ...],
    *,
    output: str,
    platforms: tuple[str, ...],
    all_platforms: bool,
    skip_missing: bool,
    skip_manifest_json: bool,
    skip_non_distributable: bool,
) -> None:
    """Write images into an archive.

    It is an OCI layout that 'docker load' reads, too; the same images make the same bytes. Attestations of what is
    exported come with it. A FILE is written by the daemon, and is there when it is whole.
    """
    client = settings.client()
    found = [with_image(client, name, client.images.get)[0] for name in names]
    with contextlib.ExitStack() as stack:
        target: str | IO[bytes] = os.path.abspath(output)
        if output == "-":
            if sys.stdout.isatty():
                raise click.UsageError("an archive is nothing for a terminal: give -o FILE, or a pipe")
            target = sys.stdout.buffer
        elif not is_plain(output):
            target = stack.enter_context(open(output, "wb"))
        elif client.address.startswith("tcp://"):
            target = stack.enter_context(whole(output))
        meter = stack.enter_context(Meter("exporting", is_shown=None if output != "-" and not settings.json else False))

        def show(progress: Progress) -> None:
            meter.show(progress.done, total=progress.total)

        done = client.images.export(
            found,
            target,
            platforms=platforms,
            all_platforms=all_platforms,
            skip_missing=skip_missing,
            skip_manifest_json=skip_manifest_json,
            skip_non_distributable=skip_non_distributable,
            on_progress=show,
            timeout_s=settings.wait_s,
        )
        if output == "-":
            sys.stdout.buffer.flush()
    if output == "-":
        return
    if settings.json:
        print_json({**plain(done), "path": output})
    else:
        click.echo(f"{output} {spoken(done.size)}")


@contextlib.contextmanager
def whole(path: str) -> Iterator[IO[bytes]]:
    """A file that gets its name at the end, and none when writing it fails."""
    directory, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(directory, f".{name[:200]}.{os.urandom(4).hex()}")
    try:
        with open(beside, "xb") as file:
            yield file
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def is_plain(path: str) -> bool:
    """Whether a regular file is there, or nothing: what the daemon can put in place whole."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
