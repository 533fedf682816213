"""`wharfie import`: images from an archive into the daemon."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.labels import parse_labels
from cli.output import plain, print_json, short_id
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wharfie.types.transfer import Progress


@command(
    "import",
    examples="""
    wharfie import busybox.tar
    docker save busybox | wharfie import -
    wharfie import --name mine:1 layout.tar.gz
    wharfie import --base-name registry.example/app ./layout
    """,
)
@option("--name", "names", multiple=True, metavar="NAME", help="Instead of the name in the archive.")
@option("--base-name", default="", metavar="NAME", help="Images that have only a tag become NAME:TAG.")
@option("--digests", is_flag=True, help="Name each image REPOSITORY@DIGEST, too.")
@option("--no-unpack", is_flag=True, help="Store the content only; unpack at the first run.")
@option("--snapshotter", default="", metavar="NAME", help="Unpack into this one.  [default: the daemon's]")
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@option("--all-platforms", is_flag=True, help="Keep the content of every platform.")
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the images.")
@click.argument("file", metavar="FILE|DIR|-", type=click.Path(allow_dash=True))
@pass_settings
def load(
    settings: Settings,
    /,
    file: str,
    *,
    names: tuple[str, ...],
    base_name: str,
    digests: bool,
    no_unpack: bool,
    snapshotter: str,
    platform: str,
    all_platforms: bool,
    labels: tuple[str, ...],
) -> None:
    """Import images from an archive.

    An OCI layout or an archive of 'docker save', compressed by gzip or zstd or not; DIR is a directory that is an OCI
    layout; '-' is standard input. A FILE is opened by the daemon, so that its bytes are not copied twice; over TCP they
    are sent.
    """
    client = settings.client()
    with contextlib.ExitStack() as stack:
        source: object = os.path.abspath(file)
        if file == "-":
            source = sys.stdin.buffer
        elif client.address.startswith("tcp://"):
            source = stack.enter_context(open(file, "rb"))
        else:
            # Opened here only to say early, and in our words, that it is missing or not ours to read.
            os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        progress = stack.enter_context(progress_shown(settings))
        images = client.images.import_(
            source,  # type: ignore[arg-type]
            names=names,
            base_name=base_name,
            digests=digests,
            unpack=not no_unpack,
            snapshotter=snapshotter,
            platform=platform,
            all_platforms=all_platforms,
            labels=parse_labels(labels),
            on_progress=progress,
            timeout_s=settings.wait_s,
        )
    if settings.json:
        print_json(plain(images))
        return
    for image in images:
        click.echo(f"{image.name} {image.target.digest}")


@contextlib.contextmanager
def progress_shown(settings: Settings) -> Iterator[Callable[[Progress], None] | None]:
    """Where progress goes: bars on a terminal, lines in a log, nowhere with --json."""
    if settings.json:
        yield None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _line


def line_of(progress: Progress) -> str:
    """One line for what happened; empty for what is only on its way."""
    if progress.total and progress.done < progress.total:
        return ""
    name = short_id(progress.name)
    size = f" {spoken(progress.done)}" if progress.done else ""
    return f"{progress.event} {name}{size}".rstrip()


def _line(progress: Progress) -> None:
    if line := line_of(progress):
        sys.stderr.write(f"{line}\n")


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Progress], None]]:
    """A bar for each blob and each layer, drawn by rich, which is loaded only for this."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            # Several events tell of one blob: its bar goes on under the newest.
            name = f"{progress.event} {short_id(progress.name)}"
            task = known.get(progress.name)
            if task is None:
                task = known[progress.name] = bars.add_task(name, total=progress.total or None)
            bars.update(task, description=name, completed=progress.done, total=progress.total or progress.done or None)

        yield show
