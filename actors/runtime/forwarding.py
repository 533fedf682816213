"""Events of shims on their way to the metadata worker, which stores and publishes them.

At least once from shim to here, exactly once there: each event has a key of its own, and the shim is told to forget
it only when it is stored. In order for each container.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from actors.internal import EventsForward, ForwardedEvent
from wharfie import errors
from wharfie.types.base import Empty, Json

if TYPE_CHECKING:
    from actors.runtime.entry import Entry
    from actors.worker import Worker

log = logging.getLogger("runtime")

BATCH = 256
RETRY_S = 0.05


class Forwarder:
    """The queue of events, and the one coroutine that empties it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._queue: deque[tuple[Entry, int, ForwardedEvent]] = deque()
        self._more = asyncio.Event()

    def start(self) -> None:
        """Begin forwarding."""
        self._worker.spawn(self._run())

    def put(self, entry: Entry, *, seq: int, time_ns: int, topic: str, event: Json) -> None:
        """Queue one event; the same event again is stored once."""
        key = f"{entry.file.incarnation}/{seq}"
        self._queue.append((entry, seq, ForwardedEvent(topic=topic, timestamp_ns=time_ns, event=event, key=key)))
        self._more.set()

    async def stored(self, entry: Entry, seq: int) -> None:
        """Wait until an entry's events up to `seq` are stored."""
        while entry.stored < seq:
            await entry.next_change()

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._queue:
                await self._send_batch()

    async def _send_batch(self) -> None:
        namespace = self._queue[0][0].namespace
        batch: list[tuple[Entry, int, ForwardedEvent]] = []
        for item in self._queue:
            if item[0].namespace != namespace or len(batch) == BATCH:
                break
            batch.append(item)
        request = EventsForward(events=[event for _, _, event in batch])
        try:
            await self._worker.call("events.forward", request, Empty, namespace=namespace)
        except errors.InvalidArgument as error:
            # It would be refused for ever, and all that follows with it.
            log.error("events are dropped, the metadata worker refuses them: %s", error)
        except errors.WharfieError as error:
            log.warning("events are held back: %s", error)
            await asyncio.sleep(RETRY_S)
            return
        newest: dict[Entry, int] = {}
        for entry, seq, _ in batch:
            self._queue.popleft()
            newest[entry] = seq
        for entry, seq in newest.items():
            entry.stored = max(entry.stored, seq)
            if entry.link is not None:
                entry.link.acknowledge(entry.id, seq)
            entry.changed()
