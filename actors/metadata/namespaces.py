"""Namespaces: made by name or by the first thing that is created in them, deleted only when empty.

Every method is atomic and answers with what is stored. Reading an unknown namespace is no error: it has no labels.
"""

from __future__ import annotations

from typing import Any

from actors.call import Call, handles
from actors.metadata import masks, records
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import AlreadyExists, FailedPrecondition, NotFound
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_identifier, check_labels, check_namespace
from wharfie.types import namespaces
from wharfie.types.base import Empty
from wharfie.types.namespaces import Namespace

FIELDS = masks.Fields("a namespace", frozenset(), frozenset({"labels"}), (masks.Path("labels"),))

CONTENTS = ("images", "blobs", "containers", "snapshots")
"""The tables that must hold nothing of a namespace before it can go."""


def ensure_namespace(store: Transactions, name: str) -> str:
    """Make a namespace that is named for the first time; part of the caller's change. Returns its name.

    Raises:
        InvalidArgument: no identifier.
    """
    check_namespace(name)
    record = protocol.encode(Namespace(name=name, created_at_ns=store.now_ns()))
    store.connection.execute("INSERT OR IGNORE INTO namespaces(name, record) VALUES (?, ?)", (name, record))
    return name


class NamespaceService:
    """`namespaces.*`."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("namespaces.get")
    def get(self, call: Call, request: namespaces.Get) -> bytes | Namespace:
        """A namespace; an unknown one has no labels. Raises: InvalidArgument (no identifier)."""
        del call
        check_identifier(request.name, field="name")
        return self._record(request.name) or Namespace(name=request.name)

    @handles("namespaces.list")
    def list(self, call: Call, request: namespaces.List) -> bytes:
        """All namespaces by name, or those that a filter on `name` or `labels.K` lets through."""
        del call
        filters = Filters(request.filters)
        rows = [row[0] for row in self.store.read("SELECT record FROM namespaces ORDER BY name")]
        if not filters.always:
            rows = [row for row in rows if _matches(records.decode(row, Namespace), filters)]
        return records.listing("namespaces", rows)

    @handles("namespaces.create")
    @mutation
    def create(self, call: Call, request: namespaces.Create) -> Namespace:
        """Make a namespace. Raises: InvalidArgument, AlreadyExists."""
        del call
        name = check_identifier(request.name, field="name")
        check_labels(request.labels)
        if self._record(name) is not None:
            raise AlreadyExists(f"namespace '{name}' exists", details={"name": name})
        made = Namespace(name=name, labels=masks.present(request.labels), created_at_ns=self.store.now_ns())
        return self._write(made, "/namespaces/create")

    @handles("namespaces.update")
    @mutation
    def update(self, call: Call, request: namespaces.Update) -> Namespace:
        """Change labels; makes the namespace when it is new. Raises: InvalidArgument (also: an unknown mask path)."""
        del call
        name = check_identifier(request.name, field="name")
        paths = masks.parse(request.mask, FIELDS)
        found = self._record(name)
        old = records.decode(found, Namespace) if found else Namespace(name=name, created_at_ns=self.store.now_ns())
        labels = old.labels
        for path in paths:
            labels = masks.merged(labels, request.labels, path.key)
        check_labels(labels)
        return self._write(Namespace(name=name, labels=labels, created_at_ns=old.created_at_ns), "/namespaces/update")

    @handles("namespaces.delete")
    @mutation
    def delete(self, call: Call, request: namespaces.Delete) -> Empty:
        """Delete an empty namespace, with its leases.

        Raises:
            NotFound: there is none.
            FailedPrecondition: something lives in it; `details["remaining"]` counts it by kind.
        """
        del call
        name = check_identifier(request.name, field="name")
        if self._record(name) is None:
            raise NotFound(f"namespace '{name}' not found", details={"name": name})
        if remaining := self._remaining(name):
            listed = ", ".join(f"{count} {kind}" for kind, count in remaining.items())
            raise FailedPrecondition(
                f"namespace '{name}' must be empty, but it still has {listed}; remove them first",
                details={"name": name, "remaining": remaining},
            )
        for (lease,) in self.store.read("SELECT number FROM leases WHERE namespace = ?", (name,)).fetchall():
            self.store.holding.delete(lease)
        self.store.connection.execute("DELETE FROM namespaces WHERE name = ?", (name,))
        self._publish(name, "/namespaces/delete", {"name": name})
        return Empty()

    def _remaining(self, name: str) -> dict[str, int]:
        remaining: dict[str, int] = {}
        for table in CONTENTS[:-1]:
            (count,) = self.store.read(f"SELECT count(*) FROM {table} WHERE namespace = ?", (name,)).fetchone()  # noqa: S608 - one of CONTENTS
            if count:
                remaining[table] = count
        for snapshotter, count in self.store.read(
            "SELECT snapshotter, count(*) FROM snapshots WHERE namespace = ? GROUP BY snapshotter ORDER BY 1", (name,)
        ):
            remaining[f"snapshots on '{snapshotter}'"] = count
        return remaining

    def _record(self, name: str) -> bytes | None:
        row = self.store.read("SELECT record FROM namespaces WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _write(self, namespace: Namespace, topic: str) -> Namespace:
        self.store.connection.execute(
            "INSERT INTO namespaces(name, record) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET record = excluded.record",
            (namespace.name, protocol.encode(namespace)),
        )
        self._publish(namespace.name, topic, {"name": namespace.name, "labels": namespace.labels})
        return namespace

    def _publish(self, name: str, topic: str, event: dict[str, Any]) -> None:
        self.store.events.append(name, topic, event, now_ns=self.store.now_ns())


def _matches(namespace: Namespace, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path == ("name",):
            return namespace.name
        return namespace.labels.get(".".join(path[1:])) if path[0] == "labels" else None

    return filters.matches(lookup)
