"""Events: publishing, forwarding for other workers, and subscriptions that lose nothing.

A subscriber names the last number that it saw and gets all that follow, first the stored ones, then the new ones as
they are committed, each once and in order. What retention removed meanwhile is told by one `gap` item. A subscriber
that names none first gets a `mark` with the number it begins after, so that it too can come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from actors.call import Call, handles
from actors.internal import EventsForward
from actors.metadata.eventlog import READ_LIMIT, Entry
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import InvalidArgument
from wharfie.filters import FieldPath, Filters, Lookup, text_of
from wharfie.identifiers import check_count, check_namespace, check_topic
from wharfie.types import events
from wharfie.types.base import Empty

EVENT_MAX_BYTES = 64 << 10
"""An event says that something happened; thousands of them are kept."""


class EventService:
    """`events.publish` and `events.subscribe`."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("events.publish")
    @mutation
    def publish(self, call: Call, request: events.Publish) -> events.Published:
        """Store one event of the header's namespace. Raises: InvalidArgument (topic, namespace, or too large)."""
        topic = check_topic(request.topic)
        if (size := len(protocol.encode(request.event))) > EVENT_MAX_BYTES:
            raise InvalidArgument(
                f"event '{topic}' has {size} bytes and may have {EVENT_MAX_BYTES}; publish where it can be read",
                details={"field": "event", "max_bytes": EVENT_MAX_BYTES},
            )
        namespace = check_namespace(call.namespace)
        return events.Published(
            seq=self.store.events.append(namespace, topic, request.event, now_ns=self.store.now_ns())
        )

    @handles("events.subscribe")
    async def subscribe(self, call: Call, request: events.Subscribe) -> AsyncIterator[bytes]:
        """Stream what follows `after_seq` (-1: what happens from now on) and matches. Never ends by itself.

        Raises: InvalidArgument (a filter does not parse).
        """
        del call
        filters = Filters(request.filters)
        log = self.store.events
        seq = log.head if request.after_seq < 0 else request.after_seq
        log.readers += 1
        try:
            if request.after_seq < 0:
                yield protocol.encode(events.Envelope(seq=seq, timestamp_ns=self.store.now_ns(), mark=True))
            while True:
                lost = log.gap_after(seq)
                if lost is not None:
                    seq = lost
                    yield protocol.encode(events.Envelope(seq=seq, timestamp_ns=self.store.now_ns(), gap=True))
                    continue
                entries = log.after(seq)
                for entry in entries:
                    seq = entry.seq
                    if filters.always or filters.matches(_lookup_in(entry)):
                        yield entry.wire()
                if not entries:
                    await log.wait_after(seq)
                elif len(entries) >= READ_LIMIT:
                    # A long replay of which little matches lets others have the loop.
                    await asyncio.sleep(0)
        finally:
            log.reader_gone()


class ForwardService:
    """`events.forward`, which workers call; there whatever is disabled."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("events.forward")
    @mutation
    def forward(self, call: Call, request: EventsForward) -> Empty:
        """Store events of another worker in order, all or none; one whose key is known is passed over.

        Raises: InvalidArgument (namespace, topic or timestamp; nothing was stored).
        """
        namespace = check_namespace(call.namespace)
        log, now_ns = self.store.events, self.store.now_ns()
        for event in request.events:
            topic = check_topic(event.topic)
            timestamp_ns = check_count(event.timestamp_ns, field="timestamp_ns", low=1)
            if not event.key or log.is_new(event.key, now_ns=now_ns):
                log.append(namespace, topic, event.event, now_ns=now_ns, timestamp_ns=timestamp_ns)
        return Empty()


def _lookup_in(entry: Entry) -> Lookup:
    decoded: list[object] = []

    def lookup(path: FieldPath) -> str | None:
        if path[0] == "event":
            if not decoded:
                decoded.append(msgspec.msgpack.decode(entry.event))
            return text_of(decoded[0], path[1:])
        if path == ("namespace",):
            return entry.namespace or None
        return entry.topic if path == ("topic",) else None

    return lookup
