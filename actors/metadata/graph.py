"""The collector's graph as it is written: what each object refers to, in step with the object itself.

Every change runs inside the transaction that changes the object. A column of the object's own row is an edge already
and is not written twice: an image's target, a snapshot's parent, a lease's resources.

While a collection is marking, it is told what becomes reachable (`Barrier`); see `marking` for why that is enough.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Protocol

from actors.metadata.references import Kind, Reference, Relation, node_of, references

NOTHING: frozenset[Reference] = frozenset()


class Barrier(Protocol):
    """What a collection under way wants to know."""

    def created(self, namespace: str, node: int) -> None:
        """There is a new object, or an old one that is a root now."""

    def named(self, namespace: str, kind: str, name: str) -> None:
        """Something refers to this now that did not before."""


class Graph:
    """The table `refs`; every method is part of the caller's transaction.

    Attributes:
        barrier: of the collection that is under way.
        deletions: edges and objects that went since the start: each may have made garbage.
        expiry_changed: whether something has another time at which it goes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.barrier: Barrier | None = None
        self.deletions = 0
        self.expiry_changed = False

    def add(
        self,
        kind: Kind,
        number: int | None,
        *,
        namespace: str,
        labels: Mapping[str, str],
        further: Iterable[Reference] = (),
    ) -> None:
        """Write down what a new object refers to.

        Args:
            kind: of the object.
            number: of its row.
            namespace: the object's.
            labels: the object's.
            further: what it refers to without a label.
        """
        assert number is not None
        node = node_of(kind, number)
        found = references(labels).union(further) if labels or further else NOTHING
        if found:
            self._insert(node, found)
        if self.barrier is not None:
            self.barrier.created(namespace, node)
            self._tell(self.barrier, namespace, found)

    def change(
        self,
        kind: Kind,
        number: int,
        *,
        namespace: str,
        before: Mapping[str, str],
        after: Mapping[str, str],
        further: tuple[Iterable[Reference], Iterable[Reference]] = ((), ()),
    ) -> None:
        """Write down what a changed object refers to; a no-op when that is what it was.

        Args:
            kind: of the object.
            number: of its row.
            namespace: the object's.
            before: its labels until now.
            after: its labels from now on.
            further: what it referred to, and refers to now, without a label.
        """
        old = references(before).union(further[0])
        new = references(after).union(further[1])
        if old == new:
            return
        node = node_of(kind, number)
        if old:
            self._connection.execute("DELETE FROM refs WHERE node = ?", (node,))
        if new:
            self._insert(node, new)
        if old - new:
            self.deletions += 1
        if self.barrier is not None:
            # Also when it is garbage itself: then this is one more round for what it names, and nothing worse.
            if any(reference.relation is Relation.ROOT for reference in new - old):
                self.barrier.created(namespace, node)
            self._tell(self.barrier, namespace, new - old)
            if any(reference.relation is Relation.BACK for reference in new - old):
                self.barrier.created(namespace, node)

    def forget(self, kind: Kind, number: int) -> None:
        """An object is gone, and so is what it referred to."""
        self.deletions += 1
        self._connection.execute("DELETE FROM refs WHERE node = ?", (node_of(kind, number),))

    def named(self, namespace: str, kind: str, name: str) -> None:
        """An edge that stands in a column or in a lease is new."""
        if self.barrier is not None:
            self.barrier.named(namespace, kind, name)

    def expires(self, at_ns: int | None, *, now_ns: int) -> None:
        """An object that is new, or was changed, goes by itself at a time; None is never."""
        if at_ns is not None:
            self.expiry_changed = True
            self.deletions += at_ns <= now_ns

    def touched(self, namespace: str, kind: Kind, number: int) -> None:
        """Whether an object is reached may have changed in a way that only the object shows."""
        if self.barrier is not None:
            self.barrier.created(namespace, node_of(kind, number))

    def _insert(self, node: int, found: Iterable[Reference]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO refs(node, relation, type, name) VALUES (?, ?, ?, ?)",
            [(node, int(relation), kind, name) for relation, kind, name in found],
        )

    @staticmethod
    def _tell(barrier: Barrier, namespace: str, found: Iterable[Reference]) -> None:
        for relation, kind, name in found:
            if relation is Relation.FORWARD:
                barrier.named(namespace, kind, name)
            elif relation is Relation.CONDITION:
                barrier.named(namespace, kind, name.partition("|")[2])
