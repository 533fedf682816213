"""One commit for all requests of a turn: where every change of the database passes.

The first change of a turn begins the transaction; each request runs in a savepoint of it, so that one that fails undoes
its own work and nobody else's; `commit` (the worker's `before_send`) ends it before any answer leaves. When the
commit fails nothing of the turn was stored, and the worker answers every request of it with that error.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import msgspec

from actors.call import Call
from actors.metadata.database import PAGE_BYTES, disk_full, typed
from actors.metadata.eventlog import EventLog
from actors.metadata.graph import Graph
from actors.metadata.holding import Holding
from actors.metadata.replies import Replies
from actors.metadata.reserve import GROWING, SIZE_BYTES, Reserve
from wharfie import failpoint, protocol
from wharfie.errors import ResourceExhausted, WharfieError

T = TypeVar("T")

Replying = bytes | Coroutine[Any, Any, bytes]
"""An answer that is there, or that takes a while."""


class Transactions:
    """The database as the services use it.

    Args:
        connection: of `open_database`.
        events: the log that changes are told in.
        reserve: space for what has to be written on a full disk.
        path: the database's, for error sentences.
        clock: wall time, ns.
        default_lease_ns: how long what was made without a lease is held; 0: not at all.

    Attributes:
        graph: what refers to what, for the collector.
        holding: the leases that hold what a call creates.
        mutations: changes since the start that were answered.
        after_collection: runs a collection, then returns what it was given.
        on_commit: told when something was committed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        events: EventLog,
        *,
        reserve: Reserve,
        path: str = "metadata.db",
        clock: Callable[[], int] = time.time_ns,
        default_lease_ns: int = 24 * 3600 * 10**9,
    ) -> None:
        self.connection = connection
        self.events = events
        self.now_ns = clock
        self._reserve = reserve
        self._path = path
        self.replies = Replies(connection)
        self.graph = Graph(connection)
        self.holding = Holding(connection, self.graph, clock=self._now, keep_ns=default_lease_ns)
        self.mutations = 0
        self.after_collection: Callable[[bytes], Coroutine[Any, Any, bytes]] | None = None
        self.on_commit: Callable[[], None] | None = None
        self._lost: WharfieError | None = None
        self._turns_lost = 0
        self._failure: BaseException | None = None
        self._is_closed = False

    def _now(self) -> int:
        return self.now_ns()  # a test may have set another clock

    def read(self, statement: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run a SELECT.

        Raises:
            WharfieError: the disk or the database failed.
        """
        try:
            return self.connection.execute(statement, parameters)
        except sqlite3.Error as error:
            raise typed(error, path=self._path) from error

    def mutate(self, call: Call, work: Callable[[], msgspec.Struct | bytes]) -> bytes:
        """Run `work` in a savepoint and return its encoded answer; a key that was answered before is answered alike.

        Nothing of it is on disk before `commit`.

        Raises:
            WharfieError: what `work` raised, with its changes undone; or an error of the database.
        """
        if self._lost is not None:
            raise self._lost
        if call.key and (known := self._find(call)) is not None:
            return known
        if not self._reserve.is_there and call.method in GROWING and not self._has_room():
            raise disk_full(self._path)
        connection = self.connection
        mark = self.events.mark()
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            connection.execute("SAVEPOINT request")
            reply = work()
            body = reply if isinstance(reply, bytes) else protocol.encode(reply)
            if call.key:
                self.replies.store(call, body, now_ns=self.now_ns())
            connection.execute("RELEASE request")
            self.mutations += 1
            return body
        except Exception as error:
            self.events.rewind(mark)
            coded = typed(error, path=self._path) if isinstance(error, sqlite3.Error) else error
            self._undo(call, coded)
            raise coded from error

    def replying(self, reply: bytes, *, collected: bool) -> Replying:
        """A reply, now or when a collection that begins after this has been run. There is none without a collector."""
        if not collected or self.after_collection is None:
            return reply
        return self._collected(reply, self.after_collection, turns_lost=self._turns_lost)

    async def _collected(
        self, reply: bytes, collect: Callable[[bytes], Coroutine[Any, Any, bytes]], *, turns_lost: int
    ) -> bytes:
        # This begins when the turn of the request has been committed, or was not.
        if self._turns_lost > turns_lost and self._failure is not None:
            raise self._failure
        return await collect(reply)

    def _has_room(self) -> bool:
        """Whether the reserve can be taken again, or the database can grow within itself where things were deleted."""
        if self._reserve.take():
            return True
        (free_pages,) = self.read("PRAGMA freelist_count").fetchone()
        return int(free_pages) * PAGE_BYTES >= SIZE_BYTES

    def _find(self, call: Call) -> bytes | None:
        try:
            return self.replies.find(call)
        except sqlite3.Error as error:
            raise typed(error, path=self._path) from error

    def _undo(self, call: Call, error: Exception) -> None:
        """Undo one request. SQLite rolls everything back by itself on some errors; then the turn is lost."""
        if not self.connection.in_transaction:
            self._lost = error if isinstance(error, WharfieError) else WharfieError(str(error))
            return
        try:
            self.connection.execute("ROLLBACK TO request")
            if call.key and isinstance(error, WharfieError):
                self.replies.store_error(call, error, now_ns=self.now_ns())
            self.connection.execute("RELEASE request")
        except sqlite3.Error as second:
            self._lost = typed(second, path=self._path)

    def commit(self) -> None:
        """Make everything since the last commit durable, then visible to subscribers; a no-op without changes.

        Raises:
            WharfieError: nothing of the turn was stored.
        """
        if self._is_closed or (self._lost is None and not self.connection.in_transaction):
            return
        try:
            failpoint.hit("metadata.commit.before")
            if self._lost is not None:
                raise self._lost
            self._end()
        except (sqlite3.Error, WharfieError, OSError) as error:
            raise self._roll_back(error) from None
        failpoint.hit("metadata.commit.after")
        self.events.committed()
        if self.on_commit is not None:
            self.on_commit()

    def _end(self) -> None:
        if self._reserve.is_needed():
            self._reserve.release()
        self.connection.execute("COMMIT")
        if not self._reserve.is_there:
            self._rewind_log()

    def _rewind_log(self) -> None:
        """Start the write-ahead log anew at its beginning: the room it has is then enough for what comes next."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def _roll_back(self, error: BaseException) -> BaseException:
        """Undo the whole turn; returns the error as one of the wire."""
        self._lost = None
        self.events.rewind(0)
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        coded = typed(error, path=self._path) if isinstance(error, sqlite3.Error) else error
        self._turns_lost += 1
        self._failure = coded
        if isinstance(coded, ResourceExhausted):
            self._reserve.release()
            self._rewind_log()
        return coded

    def background(self, work: Callable[[], T]) -> T:
        """Run `work` in a transaction of its own and commit; for work that no request asked for.

        Raises:
            WharfieError: nothing of it was stored.
        """
        self.commit()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            done = work()
        except BaseException as error:
            raise self._roll_back(error) from None
        self.commit()
        return done

    def close(self) -> None:
        """Commit and close; the write-ahead log goes into the database, its room to the reserve. Idempotent."""
        if not self._is_closed:
            self.commit()
            self._is_closed = True
            self.connection.close()
            self._reserve.take()


class Service(Protocol):
    """What `mutation` needs of a service."""

    @property
    def store(self) -> Transactions:
        """The database."""


S = TypeVar("S", bound=Service)
Q = TypeVar("Q", bound=msgspec.Struct)


def mutation(
    handler: Callable[[S, Call, Q], msgspec.Struct | bytes],
) -> Callable[[S, Call, Q], bytes]:
    """Make a handler run in `Transactions.mutate`; its answer is then encoded."""

    @functools.wraps(handler)
    def run(self: S, call: Call, request: Q) -> bytes:
        return self.store.mutate(call, lambda: handler(self, call, request))

    return run
