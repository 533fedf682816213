"""The log of events: numbered, in the same transaction as what they tell, kept for a while.

Numbers rise by one without a hole, since a rolled-back event gives its number back. Readers ask for what follows a
number (`after`): the newest events come from memory, older ones from the table, and what retention removed is told as a
gap. So a slow reader costs no memory here: it falls back to the table by itself. Only committed events are ever read.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from actors.metadata.database import typed
from wharfie import protocol
from wharfie.types.base import Message

TAIL = 512
TAIL_BYTES = 4 << 20
"""Newest events that are kept in memory while somebody listens: at most so many, and so large together."""

READ_LIMIT = 128
"""Events read from the table at once."""

FORWARDED_KEEP_NS = 24 * 3600 * 10**9
FORWARDED_KEEP = 100_000
"""Keys of forwarded events are kept longer than the events, so that a repetition is known whatever retention says."""


class _Wire(Message, frozen=True, kw_only=True):
    """`events.Envelope` with an event that is encoded already."""

    seq: int
    timestamp_ns: int
    namespace: str = ""
    topic: str = ""
    event: msgspec.Raw


class Entry(NamedTuple):
    """One event as stored; `event` is msgpack."""

    seq: int
    timestamp_ns: int
    namespace: str
    topic: str
    event: bytes

    def wire(self) -> bytes:
        """The body of its item (`events.Envelope`)."""
        return protocol.encode(
            _Wire(
                seq=self.seq,
                timestamp_ns=self.timestamp_ns,
                namespace=self.namespace,
                topic=self.topic,
                event=msgspec.Raw(self.event),
            )
        )


class EventLog:
    """Append inside a transaction, read what was committed.

    Args:
        connection: the database.
        retention_count: events that are kept at most.
        retention_ns: the age at which an event goes.
    """

    def __init__(self, connection: sqlite3.Connection, *, retention_count: int, retention_ns: int) -> None:
        self._connection = connection
        self.retention_count = retention_count
        self.retention_ns = retention_ns
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self._head = int(row[0]) if row else 0
        first = connection.execute("SELECT min(seq) FROM events").fetchone()[0]
        self._first = int(first) if first is not None else self._head + 1
        self._pending: list[Entry] = []
        self._pruned = 0
        self._tail: deque[Entry] = deque()
        self._tail_bytes = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.readers = 0

    @property
    def head(self) -> int:
        """The number of the newest committed event; 0 before the first."""
        return self._head

    # -- writing, inside the transaction of the caller ---------------------------------------------------------------

    def append(
        self, namespace: str, topic: str, event: dict[str, Any], *, now_ns: int, timestamp_ns: int | None = None
    ) -> int:
        """Store an event and return its number; it is delivered when its transaction is committed."""
        encoded = protocol.encode(event)
        at_ns = now_ns if timestamp_ns is None else timestamp_ns
        seq = self._connection.execute(
            "INSERT INTO events(stored_at_ns, timestamp_ns, namespace, topic, event) VALUES (?, ?, ?, ?, ?)",
            (now_ns, at_ns, namespace, topic, encoded),
        ).lastrowid
        assert seq is not None
        self._pending.append(Entry(seq, at_ns, namespace, topic, encoded))
        return seq

    def is_new(self, key: str, *, now_ns: int) -> bool:
        """Remember the key of a forwarded event; False when it was known."""
        return (
            self._connection.execute(
                "INSERT OR IGNORE INTO forwarded(key, stored_at_ns) VALUES (?, ?)", (key, now_ns)
            ).rowcount
            == 1
        )

    def mark(self) -> int:
        """Where the pending events stand, for `rewind`."""
        return len(self._pending)

    def rewind(self, mark: int) -> None:
        """Forget pending events that were rolled back; 0 forgets all that the transaction did."""
        del self._pending[mark:]
        if not mark:
            self._pruned = 0

    def committed(self) -> None:
        """The transaction is on disk: pending events are now visible; wake who waits."""
        if self._pruned:
            self._first = self._pruned + 1
            self._pruned = 0
        if not self._pending:
            return
        if self.readers:
            self._remember(self._pending)
        self._head = self._pending[-1].seq
        self._pending.clear()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _remember(self, entries: list[Entry]) -> None:
        tail = self._tail
        for entry in entries:
            tail.append(entry)
            self._tail_bytes += len(entry.event)
        while len(tail) > TAIL or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(tail.popleft().event)

    # -- reading -----------------------------------------------------------------------------------------------------

    def after(self, seq: int) -> list[Entry]:
        """The committed events that follow number `seq`, at most some, in order; empty when there is none.

        Raises:
            WharfieError: the disk or the database failed.
        """
        if seq >= self._head:
            return []
        wanted = self._head - seq
        if wanted <= len(self._tail):
            newest = list(islice(reversed(self._tail), wanted))
            newest.reverse()
            return newest
        try:
            rows = self._connection.execute(
                "SELECT seq, timestamp_ns, namespace, topic, event FROM events WHERE seq > ? AND seq <= ?"
                " ORDER BY seq LIMIT ?",
                (seq, self._head, READ_LIMIT),
            )
            return [Entry(*row) for row in rows]
        except sqlite3.Error as error:
            raise typed(error) from error

    def gap_after(self, seq: int) -> int | None:
        """The last number of those after `seq` that are lost, or None when nothing is.

        A number beyond the newest belongs to another database: everything of it is lost, and `head` is told.
        """
        if seq > self._head:
            return self._head
        return self._first - 1 if seq < self._first - 1 else None

    async def wait_after(self, seq: int) -> None:
        """Return when there is a committed event after `seq`."""
        while seq >= self._head:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            except asyncio.CancelledError:
                if future in self._waiting:
                    self._waiting.remove(future)
                raise

    def reader_gone(self) -> None:
        """One reader less; with the last one the memory of the tail goes."""
        self.readers -= 1
        if not self.readers:
            self._tail.clear()
            self._tail_bytes = 0

    # -- retention ---------------------------------------------------------------------------------------------------

    def prune(self, *, now_ns: int, limit: int) -> bool:
        """Delete at most `limit` events beyond retention, oldest first. Returns whether there are more."""
        excess = self._head - self._first + 1 - self.retention_count
        rows = self._connection.execute(
            "SELECT seq, stored_at_ns FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", (self._head, limit)
        ).fetchall()
        last = 0
        for index, (seq, stored_at_ns) in enumerate(rows):
            if index >= excess and now_ns - stored_at_ns <= self.retention_ns:
                break
            last = seq
        if last:
            self._connection.execute("DELETE FROM events WHERE seq <= ?", (last,))
            self._pruned = last
        return len(rows) == limit and last == rows[-1][0]

    def prune_forwarded(self, *, now_ns: int, limit: int) -> bool:
        """Delete at most `limit` outdated keys of forwarded events. Returns whether there are more."""
        newest = self._connection.execute("SELECT max(number) FROM forwarded").fetchone()[0] or 0
        rows = self._connection.execute(
            "SELECT number, stored_at_ns FROM forwarded ORDER BY number LIMIT ?", (limit,)
        ).fetchall()
        last = 0
        for number, stored_at_ns in rows:
            if newest - number < FORWARDED_KEEP and now_ns - stored_at_ns <= FORWARDED_KEEP_NS:
                break
            last = number
        if last:
            self._connection.execute("DELETE FROM forwarded WHERE number <= ?", (last,))
        return len(rows) == limit and last == rows[-1][0]
