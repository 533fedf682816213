"""Events: what happened, in order, with a number.

The daemon keeps the newest events on disk. A subscriber that comes back asks for those after the last number it saw;
when some of them are gone it gets a `gap` item first, never silence.
"""

from __future__ import annotations

from wharfie.types.base import Json, Message


class Envelope(Message, frozen=True, kw_only=True):
    """One event. `seq` rises by one for the whole daemon.

    Two kinds of envelope hold no event: the `mark`, first item of a subscription without `after_seq`, says behind which
    number it begins; a `gap` says that the numbers up to `seq` are lost to you.
    """

    seq: int
    timestamp_ns: int
    namespace: str = ""
    topic: str = ""
    event: Json = {}
    gap: bool = False
    mark: bool = False


class Publish(Message, frozen=True, kw_only=True):
    """`events.publish`: topic `/a/b` of valid identifiers; the namespace is the header's."""

    topic: str
    event: Json = {}


class Published(Message, frozen=True, kw_only=True):
    """Reply of `events.publish`."""

    seq: int


class Subscribe(Message, frozen=True, kw_only=True):
    """`events.subscribe`, a stream of `Envelope`.

    Args:
        filters: any of them may match; fields `namespace, topic, event.*`; none matches all.
        after_seq: replay what follows this number; -1: only what happens from now on.
    """

    filters: list[str] = []
    after_seq: int = -1
