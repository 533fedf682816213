"""What a node of the collector's graph refers to, read from the database in short pages.

Everything stays in one namespace: names are looked up in it, and a node of another one is never reached. An edge to
something that does not exist is no edge.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from actors.metadata.references import (
    CONTAINERS,
    CONTENT,
    IMAGES,
    SNAPSHOTS,
    USED_AT_LABEL,
    Kind,
    Relation,
    condition_of,
    kind_of,
    node_of,
    number_of,
)

PAGE = 256
"""Rows read at once: about half a millisecond with all that is looked up for them."""

_REFS = (
    "SELECT relation, type, name FROM refs WHERE node = ? AND (relation, type, name) > (?, ?, ?)"
    " ORDER BY relation, type, name LIMIT ?"
)
_RESOURCES = "SELECT type, id FROM lease_resources WHERE lease = ? AND (type, id) > (?, ?) ORDER BY type, id LIMIT ?"


class Table(NamedTuple):
    """Where the rows of a kind are, the column that names one in its namespace, and an expression for its type."""

    name: str
    key: str
    type: str


_TABLES = {
    Kind.BLOB: Table("blobs", "digest", f"'{CONTENT}'"),
    Kind.SNAPSHOT: Table("snapshots", "name", f"'{SNAPSHOTS}' || snapshotter"),
    Kind.IMAGE: Table("images", "name", f"'{IMAGES}'"),
    Kind.CONTAINER: Table("containers", "id", f"'{CONTAINERS}'"),
    Kind.LEASE: Table("leases", "id", "'leases'"),
}
_KINDS = {CONTENT: Kind.BLOB, IMAGES: Kind.IMAGE, CONTAINERS: Kind.CONTAINER}

encode = msgspec.json.Encoder().encode


class _Labelled(msgspec.Struct):
    labels: dict[str, str] = {}


_labels = msgspec.msgpack.Decoder(_Labelled).decode


class Edges:
    """The graph of one namespace.

    Args:
        connection: the database.
        namespace: that names are looked up in.
        now_ns: the time at which conditions are judged.
    """

    def __init__(self, connection: sqlite3.Connection, namespace: str, *, now_ns: int) -> None:
        self._connection = connection
        self.namespace = namespace
        self._now_ns = now_ns
        # One that comes later is told to the marking by itself.
        self._has_back = self._one("SELECT 1 FROM refs WHERE relation = 2 LIMIT 1") is not None

    def _one(self, statement: str, *parameters: object) -> tuple[object, ...] | None:
        row: tuple[object, ...] | None = self._connection.execute(statement, parameters).fetchone()
        return row

    # -- from a node -------------------------------------------------------------------------------------------------

    def of(self, node: int, *, structure_only: bool = False) -> Iterator[list[int]]:
        """The nodes that a node keeps, in pages. The database may change between two of them.

        Args:
            node: any.
            structure_only: without what labels say.
        """
        kind = kind_of(node)
        if kind is Kind.SNAPSHOT or kind is Kind.IMAGE:
            yield self._structure(kind, number_of(node))
        if structure_only:
            return
        if kind is Kind.LEASE:
            yield from self.resources(number_of(node))
        yield from self._referred(node)
        if self._has_back:
            yield self._back(node)

    def _structure(self, kind: Kind, number: int) -> list[int]:
        """An image's target, a snapshot's parent."""
        if kind is Kind.SNAPSHOT:
            row = self._one("SELECT parent FROM snapshots WHERE number = ? AND parent IS NOT NULL", number)
            return [node_of(Kind.SNAPSHOT, int(str(row[0])))] if row else []
        row = self._one(
            "SELECT blobs.number FROM images JOIN blobs USING (namespace, digest) WHERE images.number = ?", number
        )
        return [node_of(Kind.BLOB, int(str(row[0])))] if row else []

    def _referred(self, node: int) -> Iterator[list[int]]:
        last: tuple[int, str, str] = (-1, "", "")
        while True:
            rows = self._connection.execute(_REFS, (node, *last, PAGE)).fetchall()
            if rows:
                forward = [(kind, name) for relation, kind, name in rows if relation == Relation.FORWARD]
                conditions = [(kind, name) for relation, kind, name in rows if relation == Relation.CONDITION]
                yield [*self.resolve(forward), *self._met(conditions)]
            if len(rows) < PAGE:
                return
            last = rows[-1]

    def resources(self, lease: int) -> Iterator[list[int]]:
        """What a lease holds, in pages."""
        last = ("", "")
        while True:
            rows = self._connection.execute(_RESOURCES, (lease, *last, PAGE)).fetchall()
            if rows:
                yield self.resolve(rows)
            if len(rows) < PAGE:
                return
            last = rows[-1]

    def _met(self, conditions: Iterable[tuple[str, str]]) -> list[int]:
        found: list[int] = []
        for kind, text in conditions:
            condition = condition_of(text)
            if condition is None:
                continue
            for node in self.resolve([(kind, condition.key)]):
                row = self._one("SELECT record FROM snapshots WHERE number = ?", number_of(node))
                labels = _labels(row[0]).labels if row else {}  # type: ignore[arg-type]
                if condition.holds(labels.get(USED_AT_LABEL, ""), now_ns=self._now_ns):
                    found.append(node)
        return found

    def _back(self, node: int) -> list[int]:
        """The nodes that say that this one keeps them."""
        name = self.name_of(node)
        if name is None:
            return []
        rows = self._connection.execute("SELECT node FROM refs WHERE relation = 2 AND type = ? AND name = ?", name)
        return self.in_namespace(found for (found,) in rows.fetchall())

    # -- names -------------------------------------------------------------------------------------------------------

    def resolve(self, names: Sequence[tuple[str, str]]) -> list[int]:
        """The nodes of resources, by type and name; without those that do not exist."""
        by_type: dict[str, list[str]] = {}
        for kind, name in names:
            by_type.setdefault(kind, []).append(name)
        found: list[int] = []
        for kind, wanted in by_type.items():
            found.extend(self._look_up(kind, wanted))
        return found

    def _look_up(self, kind: str, names: list[str]) -> list[int]:
        condition, parameters = "", [self.namespace]
        if kind.startswith(SNAPSHOTS):
            node = Kind.SNAPSHOT
            condition = "AND snapshotter = ?"
            parameters.append(kind.removeprefix(SNAPSHOTS))
        elif kind in _KINDS:
            node = _KINDS[kind]
        else:
            return []
        table = _TABLES[node]
        rows = self._connection.execute(
            f"SELECT number FROM {table.name} WHERE namespace = ? {condition}"  # noqa: S608 - one of five
            f" AND {table.key} IN (SELECT value FROM json_each(?))",
            (*parameters, encode(names).decode()),
        )
        return [node_of(node, number) for (number,) in rows]

    def name_of(self, node: int) -> tuple[str, str] | None:
        """Type and name of a node of this namespace; None when it is gone. A lease's type is `leases`."""
        table = _TABLES[kind_of(node)]
        row = self._one(
            f"SELECT {table.type}, {table.key} FROM {table.name} WHERE number = ? AND namespace = ?",  # noqa: S608 - one of five
            number_of(node),
            self.namespace,
        )
        return (str(row[0]), str(row[1])) if row else None

    def in_namespace(self, nodes: Iterable[int]) -> list[int]:
        """Those of the nodes that are there and belong to this namespace."""
        by_kind: dict[Kind, list[int]] = {}
        for node in nodes:
            by_kind.setdefault(kind_of(node), []).append(number_of(node))
        found: list[int] = []
        for kind, numbers in by_kind.items():
            # The plus: to be found by number, not by reading the whole namespace.
            table = _TABLES[kind].name
            rows = self._connection.execute(
                f"SELECT number FROM {table} WHERE number IN (SELECT value FROM json_each(?)) AND +namespace = ?",  # noqa: S608 - one of five
                (encode(numbers).decode(), self.namespace),
            )
            found.extend(node_of(kind, number) for (number,) in rows)
        return found

    # -- roots and all -----------------------------------------------------------------------------------------------

    def roots(self) -> Iterator[list[int]]:
        """What is kept by itself, in pages: containers, images and leases that have not expired, `gc.root` labels."""
        alive = f"AND (expires_ns IS NULL OR expires_ns > {self._now_ns})"
        yield from self._pages(Kind.CONTAINER)
        yield from self._pages(Kind.IMAGE, alive)
        yield from self._pages(Kind.LEASE, alive)
        last = -1
        while True:
            rows = self._connection.execute(
                f"SELECT node FROM refs WHERE relation = 1 AND node > ? ORDER BY node LIMIT {PAGE}",  # noqa: S608 - a constant
                (last,),
            ).fetchall()
            yield self.in_namespace(node for (node,) in rows if kind_of(node) in (Kind.BLOB, Kind.SNAPSHOT))
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def mortal(self) -> Iterator[list[int]]:
        """What goes when nothing keeps it, in pages: blobs, snapshots, images that have expired."""
        yield from self._pages(Kind.IMAGE, f"AND expires_ns <= {self._now_ns}")
        yield from self._pages(Kind.BLOB)
        for snapshotter in self.snapshotters():
            yield from self._pages(Kind.SNAPSHOT, "AND snapshotter = ?", snapshotter)

    def snapshotters(self) -> list[str]:
        """The snapshotters that the namespace has snapshots of."""
        found: list[str] = []
        while True:
            row = self._one(
                "SELECT min(snapshotter) FROM snapshots WHERE namespace = ? AND snapshotter > ?",
                self.namespace,
                found[-1] if found else "",
            )
            if row is None or row[0] is None:
                return found
            found.append(str(row[0]))

    def _pages(self, kind: Kind, condition: str = "", *parameters: str) -> Iterator[list[int]]:
        table = _TABLES[kind]
        statement = (
            f"SELECT number, {table.key} FROM {table.name} WHERE namespace = ? {condition} AND {table.key} > ?"  # noqa: S608 - constants of the callers
            f" ORDER BY {table.key} LIMIT {PAGE}"
        )
        last = ""
        while True:
            rows = self._connection.execute(statement, (self.namespace, *parameters, last)).fetchall()
            yield [node_of(kind, number) for number, _ in rows]
            if len(rows) < PAGE:
                return
            last = rows[-1][1]

    def is_flat(self, lease: int) -> bool:
        """Whether a lease holds only what it names."""
        return self._one("SELECT 1 FROM leases WHERE number = ? AND is_flat", number_of(lease)) is not None
