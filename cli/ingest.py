"""`wharfie content ingest` and `edit`: what stores blobs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.group import command, option
from cli.labels import parse_labels
from cli.meter import Meter
from cli.output import plain, print_json
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie.types.content import Info

REFERENCES = "containerd.io/gc.ref."
"""Labels that keep what a blob refers to."""


@command(
    "ingest",
    examples="""
    wharfie content ingest upload-1 < blob
    wharfie content ingest --expected-digest sha256:… upload-1 < blob
    """,
)
@option("--expected-size", default=0, type=click.IntRange(min=0), metavar="BYTES", help="Refuse another size.")
@option("--expected-digest", default="", metavar="DIGEST", help="Refuse other bytes; go on with what was left.")
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the blob.")
@click.argument("ref")
@pass_settings
def ingest(
    settings: Settings, /, ref: str, *, expected_size: int, expected_digest: str, labels: tuple[str, ...]
) -> None:
    """Store standard input as a blob and print its digest.

    REF names the ingest until it is whole. One that fails stays: 'content active' lists it, 'content abort' drops it,
    and the same command with --expected-digest goes on where it was. A blob that is there already is no error.
    """
    source = sys.stdin.buffer
    total = expected_size or _size_of(source.fileno())
    with Meter(ref, total=total, is_shown=False if settings.json else None) as meter:
        info = settings.client().content.ingest(
            source,
            ref=ref,
            size=expected_size,
            expected=expected_digest,
            labels=parse_labels(labels),
            on_progress=meter.show,
        )
    _print(settings, info)


@command(
    "edit",
    examples="""
    wharfie content edit sha256:…
    wharfie content edit --editor 'sed -i s/debug/info/' sha256:…
    """,
)
@option("--editor", default="", metavar="COMMAND", help="[default: $VISUAL, $EDITOR or vi]")
@option("--validate", is_flag=True, help="Refuse a result that is not JSON.")
@click.argument("digest", shell_complete=complete.blobs)
@pass_settings
def edit(settings: Settings, /, digest: str, *, editor: str, validate: bool) -> None:
    """Edit a copy of a blob, store it and print its digest.

    The blob itself stays as it is. The new one keeps the labels that hold what the blob refers to, and no others.
    """
    client = settings.client()
    info = client.content.info(digest)
    before = client.content.read(digest, timeout_s=settings.wait_s)
    after = _edited(before, editor or os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    if validate:
        _check_json(after)
    if after != before:
        labels = {key: value for key, value in info.labels.items() if key.startswith(REFERENCES)}
        info = client.content.ingest(after, labels=labels)
    _print(settings, info)


def _edited(data: bytes, editor: str) -> bytes:
    """What an editor makes of it."""
    import shlex
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="wharfie-edit-") as directory:
        path = f"{directory}/blob"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
        program = [*shlex.split(editor), path]
        try:
            code = subprocess.run(program, check=False).returncode
        except OSError as error:
            raise click.ClickException(f"editor '{program[0]}' cannot be started: {error.strerror}") from None
        if code:
            raise click.ClickException(f"editor '{program[0]}' ended with {code}; nothing was stored")
        with open(path, "rb") as file:
            return file.read()


def _check_json(data: bytes) -> None:
    import msgspec

    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"the edited blob is not JSON: {error}; nothing was stored") from None


def _print(settings: Settings, info: Info) -> None:
    if settings.json:
        print_json(plain(info))
    else:
        click.echo(info.digest)


def _size_of(fd: int) -> int:
    """What is left to read of a file; 0 of a pipe."""
    import stat

    status = os.fstat(fd)
    return max(0, status.st_size - os.lseek(fd, 0, os.SEEK_CUR)) if stat.S_ISREG(status.st_mode) else 0
