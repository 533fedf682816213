"""`wharfie events`: what happens in the daemon, as it happens."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from cli.duration import timestamp
from cli.group import command, option
from cli.output import json_text, print_json_line
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie.types.events import Envelope


def narrowed(filters: Sequence[str], namespace: str | None) -> list[str]:
    """The filters, each held to one namespace; `None` leaves them as they are."""
    if namespace is None:
        return list(filters)
    only = f'namespace=="{namespace}"'
    return [f"{only},{text}" if text else only for text in filters] or [only]


def line_of(envelope: Envelope) -> str:
    """An event on one line: time, namespace, topic and its fields."""
    if envelope.gap:
        return f"{timestamp(envelope.timestamp_ns)} - gap: the events up to number {envelope.seq} are no longer there"
    fields = json_text(envelope.event, indent=False)
    return f"{timestamp(envelope.timestamp_ns)} {envelope.namespace or '-'} {envelope.topic} {fields}"


@command(
    "events",
    examples="""
    wharfie events
    wharfie events 'topic==/tasks/exit' 'topic==/tasks/oom'
    wharfie events -n ci --after 0
    """,
)
@option("--after", default=-1, type=click.IntRange(min=-1), metavar="N", help="Also those behind event number N.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def events(settings: Settings, /, filters: Sequence[str], *, after: int) -> None:
    """Print events as they happen.

    Of all namespaces, or of the one that -n names; any of the filters may match (topic, namespace, event.FIELD). With
    --json each is one line with its number in 'seq'. Events that happened while the daemon was down and are gone are
    told as a gap. Ctrl-C ends it.
    """
    client = settings.client()
    gc.enable()
    stream = client.events.subscribe(narrowed(filters, settings.namespace), after_seq=after, timeout_s=settings.wait_s)
    for envelope in stream:
        if settings.json:
            print_json_line(envelope)
        else:
            sys.stdout.write(line_of(envelope) + "\n")
            sys.stdout.flush()
