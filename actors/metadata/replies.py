"""Key → first answer: what makes a repeated mutating call harmless.

The answer is stored in the transaction that did the work, so either both are there or neither. Stored are successes and
those errors that say how things stood (`already_exists`, `not_found`, `failed_precondition`): a create that is repeated
gets the answer of the first time, whatever happened since. Errors that a repetition may cure are not stored.
"""

from __future__ import annotations

import sqlite3

import msgspec

from actors.call import Call
from wharfie import errors, protocol
from wharfie.errors import Code, WharfieError

KEEP_NS = 3600 * 10**9
"""How long an answer is kept: far longer than any caller goes on asking."""

KEEP_BYTES = 64 << 20
"""What all answers together may take before those older than `KEEP_AT_LEAST_NS` go early."""

KEEP_AT_LEAST_NS = 60 * 10**9

LASTING = frozenset({Code.ALREADY_EXISTS, Code.NOT_FOUND, Code.FAILED_PRECONDITION})
"""Errors that are answers."""


class Replies:
    """The table of answers; every method runs inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # A running total in each row: what lies between two rows is the difference, without adding up a table.
        self._total_bytes = int(
            (connection.execute("SELECT total_bytes FROM replies ORDER BY number DESC LIMIT 1").fetchone() or (0,))[0]
        )

    def find(self, call: Call) -> bytes | None:
        """The answer that was given to this key, or None.

        Raises:
            WharfieError: that answer was this error.
        """
        row = self._connection.execute(
            "SELECT is_error, reply FROM replies WHERE key = ? AND method = ? AND namespace = ?",
            (call.key, call.method, call.namespace),
        ).fetchone()
        if row is None:
            return None
        if row[0]:
            raise errors.from_wire(msgspec.msgpack.decode(row[1]))
        return bytes(row[1])

    def store(self, call: Call, reply: bytes, *, now_ns: int) -> None:
        """Keep the answer to a keyed call."""
        self._insert(call, reply, is_error=False, now_ns=now_ns)

    def store_error(self, call: Call, error: WharfieError, *, now_ns: int) -> None:
        """Keep an error that is an answer; others pass without a trace."""
        if error.code in LASTING:
            self._insert(call, protocol.encode(error.to_wire()), is_error=True, now_ns=now_ns)

    def _insert(self, call: Call, reply: bytes, *, is_error: bool, now_ns: int) -> None:
        self._total_bytes += len(reply)
        self._connection.execute(
            "INSERT INTO replies(key, method, namespace, is_error, stored_at_ns, total_bytes, reply)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (call.key, call.method, call.namespace, is_error, now_ns, self._total_bytes, reply),
        )

    def prune(self, *, now_ns: int, limit: int) -> bool:
        """Delete at most `limit` answers that are old enough, oldest first. Returns whether there are more."""
        rows = self._connection.execute(
            "SELECT number, stored_at_ns, total_bytes FROM replies ORDER BY number LIMIT ?", (limit,)
        ).fetchall()
        last = 0
        for number, stored_at_ns, total_bytes in rows:
            if not _outdated(now_ns - stored_at_ns, newer_bytes=self._total_bytes - total_bytes):
                break
            last = number
        if last:
            self._connection.execute("DELETE FROM replies WHERE number <= ?", (last,))
        return len(rows) == limit and last == rows[-1][0]


def _outdated(age_ns: int, *, newer_bytes: int) -> bool:
    return age_ns > KEEP_NS or (newer_bytes > KEEP_BYTES and age_ns > KEEP_AT_LEAST_NS)
