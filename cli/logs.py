"""`wharfie logs`: what a container wrote into the daemon's log of it."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.group import command, option
from cli.output import print_json_line
from cli.resolve import container
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@command(
    "logs",
    examples="""
    wharfie logs web
    wharfie logs -f web
    """,
)
@option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines (not with --follow).")
@click.argument("container", metavar="CONTAINER", shell_complete=complete.containers)
@pass_settings
def logs(settings: Settings, /, container_: str = "", *, follow: bool, tail: int | None, **values: str) -> None:
    """Print what a container wrote.

    That is what 'run -d' and 'start' send to the daemon's log, or to the file of --log. With --json each line is an
    object with the text in 'line'.
    """
    if follow and tail is not None:
        raise click.UsageError("--tail and --follow exclude each other")
    client = settings.client()
    found = container(client, container_ or values["container"])
    pieces = client.tasks.logs(found.id, follow=follow, timeout_s=settings.wait_s)
    if follow:
        gc.enable()
    write = _raw if not settings.json else _as_json
    if tail is None and not settings.json:
        for piece in pieces:
            _raw(piece)
        return
    lines = _lines(pieces)
    _print(lines if tail is None else _last(lines, tail), write)


def _raw(data: bytes | memoryview) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _as_json(line: bytes | memoryview) -> None:
    print_json_line({"line": bytes(line).decode(errors="replace").rstrip("\n")})


def _print(lines: Iterator[bytes], write: Callable[[bytes], None]) -> None:
    for line in lines:
        write(line)


def _last(lines: Iterator[bytes], count: int) -> Iterator[bytes]:
    from collections import deque

    yield from deque(lines, maxlen=count)


def _lines(pieces: Iterator[memoryview | bytes]) -> Iterator[bytes]:
    """Whole lines of pieces that end anywhere; the last one may have no end."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + bytes(piece)).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
