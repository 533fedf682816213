"""Holding what a call creates: by the lease that its header names, or by the namespace's default lease.

Part of the transaction that names the thing, so that no collection can come in between. A default lease is an ordinary
lease that is made when it is needed and expires by itself: what was uploaded or prepared without a lease is safe for as
long as the configuration says, and then somebody must have named it. A new one begins four times in that time, so that
a lease does not grow for ever. What a container names is let go by the default leases at once: deleting the container
then frees its snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from actors.call import Call
from actors.metadata.graph import Graph
from actors.metadata.references import LAST_NS, Kind, rfc3339
from wharfie import protocol
from wharfie.errors import NotFound
from wharfie.types.leases import EXPIRE_LABEL, Lease

DEFAULT_LABEL = "wharfie.io/default-lease"
DEFAULT_PREFIX = "default-"

SHARES = 4
"""A default lease takes things in for this part of the time that it then keeps them."""


class Holding:
    """The leases as other services use them; every method is part of the caller's transaction.

    Args:
        connection: the database.
        graph: is told of new edges.
        clock: wall time, ns.
        keep_ns: how long a default lease holds at least; 0: there are none.
    """

    def __init__(self, connection: sqlite3.Connection, graph: Graph, *, clock: Callable[[], int], keep_ns: int) -> None:
        self._connection = connection
        self._graph = graph
        self._now_ns = clock
        self._keep_ns = keep_ns

    def hold(self, call: Call, kind: str, name: str) -> None:
        """Have the call's lease, or the default one, hold a thing. Idempotent.

        Raises:
            NotFound: there is no such lease.
        """
        lease = self._named(call) if call.lease else self._default(call.namespace)
        if lease is None:
            return
        self.add(lease, call.namespace, kind, name)

    def hold_by_lease(self, call: Call, kind: str, name: str) -> None:
        """As `hold`, but a call without a lease holds nothing."""
        if call.lease:
            self.hold(call, kind, name)

    def check(self, call: Call) -> None:
        """Pass when the call names no lease or one that is there. Raises: NotFound."""
        if call.lease:
            self._named(call)

    def add(self, lease: int, namespace: str, kind: str, name: str) -> None:
        """Have a lease hold a thing. Idempotent."""
        self._connection.execute(
            "INSERT OR IGNORE INTO lease_resources(lease, type, id) VALUES (?, ?, ?)", (lease, kind, name)
        )
        self._graph.named(namespace, kind, name)

    def release(self, call: Call, kind: str, name: str) -> None:
        """A thing is gone, or somebody else holds it: default leases and the call's own let it go."""
        leases = self._defaults(call.namespace)
        if call.lease:
            leases.append(self._named(call))
        self._delete(leases, kind, name)

    def release_default(self, namespace: str, kind: str, name: str) -> None:
        """Somebody names a thing now: default leases let it go."""
        self._delete(self._defaults(namespace), kind, name)

    def _delete(self, leases: list[int], kind: str, name: str) -> None:
        for lease in leases:
            self._connection.execute(
                "DELETE FROM lease_resources WHERE lease = ? AND type = ? AND id = ?", (lease, kind, name)
            )

    def _named(self, call: Call) -> int:
        row = self._connection.execute(
            "SELECT number FROM leases WHERE namespace = ? AND id = ?", (call.namespace, call.lease)
        ).fetchone()
        if row is None:
            raise missing(call.namespace, call.lease)
        return int(row[0])

    def _defaults(self, namespace: str) -> list[int]:
        rows = self._connection.execute(
            "SELECT number FROM leases WHERE is_default AND namespace = ?", (namespace,)
        ).fetchall()
        return [number for (number,) in rows]

    def _default(self, namespace: str) -> int | None:
        if not self._keep_ns:
            return None
        share_ns = max(self._keep_ns // SHARES, 1)
        begun = self._now_ns() // share_ns
        expires_ns = min((begun + 1) * share_ns + self._keep_ns, LAST_NS)
        name = f"{DEFAULT_PREFIX}{begun}"
        row = self._connection.execute(
            "SELECT number FROM leases WHERE namespace = ? AND id = ?", (namespace, name)
        ).fetchone()
        if row is not None:
            return int(row[0])
        # The label says the time to the second; the row's own column never less.
        labels = {EXPIRE_LABEL: rfc3339(expires_ns + 10**9), DEFAULT_LABEL: "true"}
        return self.create(namespace, Lease(id=name, labels=labels), expires_ns=expires_ns, is_default=True)

    def create(
        self, namespace: str, lease: Lease, *, expires_ns: int | None, is_flat: bool = False, is_default: bool = False
    ) -> int | None:
        """Store a lease; the server sets both times. Returns its number, or None when its id is taken."""
        now_ns = self._now_ns()
        made = Lease(id=lease.id, labels=lease.labels, created_at_ns=now_ns, updated_at_ns=now_ns)
        cursor = self._connection.execute(
            "INSERT INTO leases(namespace, id, expires_ns, is_flat, is_default, record) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (namespace, lease.id, expires_ns, is_flat, is_default, protocol.encode(made)),
        )
        if not cursor.rowcount:
            return None
        number = cursor.lastrowid
        self._graph.expires(expires_ns, now_ns=now_ns)
        self._graph.add(Kind.LEASE, number, namespace=namespace, labels=lease.labels)
        return number

    def delete(self, number: int) -> None:
        """Forget a lease; the list of what it held, which may be long, goes with the next collection."""
        self._connection.execute("DELETE FROM leases WHERE number = ?", (number,))
        self._graph.forget(Kind.LEASE, number)


def missing(namespace: str, name: str) -> NotFound:
    """The error for a lease that nobody made."""
    return NotFound(f"lease '{name[:64]}' not found in namespace '{namespace}'", details={"id": name[:64]})
