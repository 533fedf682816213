"""Sweeping: what a marking did not reach is deleted, a few rows at a time, each time after asking the marking again.

Between two batches clients go on; what they name meanwhile is reached by the marking's barrier, with all that it refers
to, and is spared. Since nothing is deleted before what refers to it (`ordering`), all of that is still there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from actors.metadata.edges import Edges
from actors.metadata.marking import Marking
from actors.metadata.ordering import Ordering
from actors.metadata.references import IMAGES, SNAPSHOTS, Kind, kind_of, number_of
from actors.metadata.transaction import Transactions

RING_MAX = 1000
"""Things that refer to one another in a ring are deleted together, up to so many: some 30 ms. Only labels that somebody
wrote by hand make a longer one, and who finds a part of it cannot rely on the rest.
"""


class Swept(msgspec.Struct):
    """What was deleted."""

    digests: list[str] = []
    snapshotters: set[str] = set()
    blobs: int = 0
    snapshots: int = 0
    images: int = 0


class Sweeping:
    """The garbage of one namespace.

    Args:
        store: the database.
        edges: the graph.
        marking: done, and still the graph's barrier.
    """

    def __init__(self, store: Transactions, edges: Edges, marking: Marking) -> None:
        self._store = store
        self._edges = edges
        self._marking = marking
        self._mortal: Iterator[list[int]] | None = edges.mortal()
        self._white: list[int] = []
        self._ordering: Ordering | None = None
        self._groups: list[list[int]] | None = None
        self.swept = Swept()

    @property
    def white(self) -> list[int]:
        """What was garbage when it was looked at; complete once `look` is done."""
        return [node for node in self._white if not self._marking.is_kept(node)]

    def look(self, budget_ns: int) -> bool:
        """Find the garbage and its order, for about so long; deletes nothing. Returns whether it is done."""
        until_ns = time.monotonic_ns() + budget_ns
        while self._groups is None:
            if self._mortal is not None:
                page = next(self._mortal, None)
                if page is None:
                    self._mortal = None
                    self._ordering = Ordering(self._white, self._targets)
                else:
                    self._white.extend(node for node in page if not self._marking.is_kept(node))
            elif self._ordering is not None and not self._ordering.advance():
                self._groups = [piece for group in self._ordering.groups() for piece in _pieces(group)][::-1]
                self._ordering = None
            if time.monotonic_ns() >= until_ns:
                break
        return self._groups is not None

    def _targets(self, node: int) -> Iterator[int]:
        for page in self._edges.of(node):
            yield from page

    def delete(self, budget_ns: int) -> bool:
        """Delete for about so long, in the caller's transaction, which must be one of its own; the marking is done and
        nothing may come between. Returns whether all is deleted.
        """
        groups = self._groups
        if groups is None or not self._marking.is_done:
            raise RuntimeError("garbage was to be deleted before it was found")
        self._store.connection.execute("PRAGMA defer_foreign_keys = ON")
        until_ns = time.monotonic_ns() + budget_ns
        while groups:
            for node in groups.pop():
                if not self._marking.is_kept(node):
                    self._delete(node)
            if time.monotonic_ns() >= until_ns:
                break
        return not groups

    def _delete(self, node: int) -> None:
        found = self._edges.name_of(node)
        if found is None:
            return
        kind, name = found
        number = number_of(node)
        connection = self._store.connection
        swept = self.swept
        if kind_of(node) is Kind.BLOB:
            connection.execute("DELETE FROM blobs WHERE number = ?", (number,))
            swept.blobs += 1
            swept.digests.append(name)
            self._publish("/content/delete", {"digest": name})
        elif kind_of(node) is Kind.SNAPSHOT:
            connection.execute("DELETE FROM snapshots WHERE number = ?", (number,))
            snapshotter = kind.removeprefix(SNAPSHOTS)
            swept.snapshots += 1
            swept.snapshotters.add(snapshotter)
            self._publish("/snapshot/remove", {"key": name, "snapshotter": snapshotter})
        elif kind == IMAGES:
            connection.execute("DELETE FROM images WHERE number = ?", (number,))
            swept.images += 1
            self._publish("/images/delete", {"name": name})
        connection.execute("DELETE FROM refs WHERE node = ?", (node,))

    def _publish(self, topic: str, event: dict[str, Any]) -> None:
        self._store.events.append(self._edges.namespace, topic, event, now_ns=self._store.now_ns())


def _pieces(group: list[int]) -> Iterator[list[int]]:
    if any(kind_of(node) is Kind.SNAPSHOT for node in group):
        yield group  # a parent goes with its children
        return
    for begin in range(0, len(group), RING_MAX):
        yield group[begin : begin + RING_MAX]
