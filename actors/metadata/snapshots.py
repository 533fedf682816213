"""Names, kinds, parents and labels of snapshots. The directories, one for each number, are the snapshot worker's.

A request for a new one gets its row and number here, on its way to the snapshot worker (`snapshotdoor`), which makes
the directory and later has the row committed. A number never comes twice. Every method is atomic; preparing, committing
and removing are told as `/snapshot/…`, a view is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from actors.call import Call, handles
from actors.internal import (
    Numbers,
    SnapshotCommit,
    SnapshotCreate,
    SnapshotGet,
    SnapshotNumbers,
    SnapshotRemove,
    SnapshotRow,
)
from actors.metadata import masks, records, snapshotrules
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.references import USED_AT_LABEL
from actors.metadata.references import Kind as Node
from actors.metadata.snapshotrules import Place, Row
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import InvalidArgument
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_count, check_labels, check_namespace
from wharfie.types import snapshots
from wharfie.types.base import Empty, Labels
from wharfie.types.snapshots import Info, Kind

FIELDS = masks.Fields("a snapshot", frozenset({"labels"}), frozenset({"labels"}), (masks.Path("labels"),))

CHILDREN_SHOWN = 5
UPPERDIR_LABEL = "containerd.io/snapshot/overlay.upperdir"

_ANCESTORS = """
WITH RECURSIVE chain(number, parent, depth) AS (
    SELECT number, parent, 0 FROM snapshots WHERE number = ?
    UNION ALL
    SELECT snapshots.number, snapshots.parent, depth + 1 FROM chain JOIN snapshots ON snapshots.number = chain.parent
)
SELECT number FROM chain WHERE depth > 0 ORDER BY depth
"""


class SnapshotService:
    """`snapshots.stat`, `snapshots.list`, `snapshots.update`, and what the snapshot worker asks.

    Args:
        default: the snapshotter of a request that names none.
        known: the snapshotters that there are; another one is `invalid_argument`.
        upperdirs: snapshotters that tell a snapshot's own directory in a label, and where their directories are.
    """

    def __init__(
        self, store: Transactions, *, default: str, known: Collection[str], upperdirs: Mapping[str, str] | None = None
    ) -> None:
        self.store = store
        self._default = default
        self._known = frozenset(known)
        self._upperdirs = upperdirs or {}

    def _ancestors(self, number: int) -> list[int]:
        return [ancestor for (ancestor,) in self.store.read(_ANCESTORS, (number,))]

    # -- for clients -------------------------------------------------------------------------------------------------

    @handles("snapshots.stat")
    def stat(self, call: Call, request: snapshots.Stat) -> bytes:
        """What is known of a snapshot. Raises: NotFound, InvalidArgument (unknown snapshotter)."""
        place = self._place(call, request.snapshotter)
        record, number, *_ = self._record(place, request.key)
        return self._shown(place, record, number)

    @handles("snapshots.list")
    def list(self, call: Call, request: snapshots.List) -> bytes:
        """A snapshotter's snapshots by name; filters on `kind, name, parent, labels.K`."""
        filters = Filters(request.filters)
        place = self._place(call, request.snapshotter)
        found = self.store.read(
            "SELECT record, number FROM snapshots WHERE namespace = ? AND snapshotter = ? ORDER BY name", place
        )
        if place.snapshotter in self._upperdirs:
            rows = [self._shown(place, record, number) for record, number in found]
        else:
            rows = [row[0] for row in found]
        if not filters.always:
            rows = [row for row in rows if _matches(records.decode(row, Info), filters)]
        return records.listing("snapshots", rows)

    @handles("snapshots.update")
    @mutation
    def update(self, call: Call, request: snapshots.Update) -> bytes:
        """Change labels. Raises: NotFound, InvalidArgument (also: any other mask path)."""
        place = self._place(call, request.snapshotter)
        paths = masks.parse(request.mask, FIELDS)
        found = self._record(place, request.key)
        old = records.decode(found[0], Info)
        labels = old.labels
        for path in paths:
            labels = masks.merged(labels, request.labels, path.key)
        check_labels(labels)
        record = protocol.encode(replace(old, labels=labels, updated_at_ns=self.store.now_ns()))
        self.store.connection.execute("UPDATE snapshots SET record = ? WHERE number = ?", (record, found[1]))
        self._relabel(place, found[1], old, labels)
        return self._shown(place, record, found[1])

    def _relabel(self, place: Place, number: int, old: Info, labels: Labels) -> None:
        graph = self.store.graph
        graph.change(Node.SNAPSHOT, number, namespace=place.namespace, before=old.labels, after=labels)
        if old.labels.get(USED_AT_LABEL) != labels.get(USED_AT_LABEL):
            graph.touched(place.namespace, Node.SNAPSHOT, number)

    # -- for the snapshot worker -------------------------------------------------------------------------------------

    @handles("metadata.snapshot_create")
    @mutation
    def create(self, call: Call, request: SnapshotCreate) -> SnapshotRow:
        """Name an active snapshot or a view, give it a number, and hold it by the call's lease.

        Raises: as `snapshotrules.check_create`; NotFound (no such lease).
        """
        place = self._place(call, request.snapshotter)
        parent = self._find(place, request.parent) if request.parent else None
        snapshotrules.check_create(
            place,
            request.key,
            request.kind,
            taken=self._find(place, request.key) is not None,
            parent_name=request.parent,
            parent=parent,
        )
        check_labels(request.labels)
        ensure_namespace(self.store, place.namespace)
        now_ns = self.store.now_ns()
        info = Info(
            name=request.key,
            kind=request.kind,
            parent=request.parent,
            snapshotter=place.snapshotter,
            labels=masks.present(request.labels),
            created_at_ns=now_ns,
            updated_at_ns=now_ns,
        )
        number = self.store.connection.execute(
            "INSERT INTO snapshots(namespace, snapshotter, name, kind, parent, record) VALUES (?, ?, ?, ?, ?, ?)",
            (*place, info.name, info.kind, parent.number if parent else None, protocol.encode(info)),
        ).lastrowid
        assert number is not None
        self.store.graph.add(Node.SNAPSHOT, number, namespace=place.namespace, labels=info.labels)
        self.store.holding.hold(call, place.resource, info.name)
        if parent:
            self.store.graph.touched(place.namespace, Node.SNAPSHOT, parent.number)
        if info.kind is Kind.ACTIVE:
            event = {"key": info.name, "parent": info.parent, "snapshotter": place.snapshotter}
            self._publish(place, "/snapshot/prepare", event)
        return SnapshotRow(info=info, number=number, parents=self._ancestors(number))

    @handles("metadata.snapshot_get")
    def get(self, call: Call, request: SnapshotGet) -> SnapshotRow:
        """A snapshot with its number and those of its ancestors. Raises: NotFound, InvalidArgument."""
        return self._row(self._place(call, request.snapshotter), request.key)

    @handles("metadata.snapshot_commit")
    @mutation
    def commit(self, call: Call, request: SnapshotCommit) -> Empty:
        """The active `key` becomes the committed `name`, with the labels of this request only; the call's lease holds
        it under its new name.

        Raises: as `snapshotrules.check_commit`; NotFound (no such lease).
        """
        place = self._place(call, request.snapshotter)
        row = self._find(place, request.key)
        parent = self._find(place, request.parent) if request.parent else None
        snapshotrules.check_commit(
            place,
            request.name,
            request.key,
            taken=self._find(place, request.name) is not None,
            row=row,
            parent_name=request.parent,
            parent=parent,
        )
        check_labels(request.labels)
        check_count(request.size, field="size")
        check_count(request.inodes, field="inodes")
        assert row is not None
        old = records.decode(self._record(place, request.key)[0], Info)
        now_ns = self.store.now_ns()
        info = replace(
            old,
            name=request.name,
            kind=Kind.COMMITTED,
            parent=request.parent or old.parent,
            labels=masks.present(request.labels),
            created_at_ns=now_ns,
            updated_at_ns=now_ns,
        )
        self.store.connection.execute(
            "UPDATE snapshots SET name = ?, kind = ?, parent = ?, size = ?, inodes = ?, record = ? WHERE number = ?",
            (
                info.name,
                info.kind,
                parent.number if parent else row.parent,
                request.size,
                request.inodes,
                protocol.encode(info),
                row.number,
            ),
        )
        if parent:
            self.store.graph.touched(place.namespace, Node.SNAPSHOT, parent.number)
        self._relabel(place, row.number, old, info.labels)
        # Who names it by its new name already is a root, or was marked before it was there.
        self.store.graph.touched(place.namespace, Node.SNAPSHOT, row.number)
        self.store.holding.release(call, place.resource, request.key)
        self.store.holding.hold(call, place.resource, info.name)
        event = {"key": request.key, "name": info.name, "snapshotter": place.snapshotter}
        self._publish(place, "/snapshot/commit", event)
        return Empty()

    @handles("metadata.snapshot_remove")
    @mutation
    def remove(self, call: Call, request: SnapshotRemove) -> SnapshotRow:
        """The name goes; the directory of the answer's number may then be deleted. The answer has no ancestors.

        Raises: NotFound, FailedPrecondition (it has children).
        """
        place = self._place(call, request.snapshotter)
        found = self._find(place, request.key)
        children = []
        if found is not None:
            children = [
                name
                for (name,) in self.store.read(
                    "SELECT name FROM snapshots WHERE parent = ? ORDER BY number LIMIT ?",
                    (found.number, CHILDREN_SHOWN),
                )
            ]
        snapshotrules.check_remove(place, request.key, row=found, children=children)
        record, number, size, inodes = self._record(place, request.key)
        removed = SnapshotRow(info=records.decode(record, Info), number=number, size=size, inodes=inodes)
        self.store.connection.execute("DELETE FROM snapshots WHERE number = ?", (removed.number,))
        self.store.graph.forget(Node.SNAPSHOT, removed.number)
        self.store.holding.release(call, place.resource, request.key)
        self._publish(place, "/snapshot/remove", {"key": request.key, "snapshotter": place.snapshotter})
        return removed

    @handles("metadata.snapshot_numbers")
    def numbers(self, call: Call, request: SnapshotNumbers) -> Numbers:
        """All numbers of a snapshotter, in every namespace, those of committed ones, and the highest ever given."""
        del call
        rows = self.store.read(
            "SELECT number, kind FROM snapshots WHERE snapshotter = ? ORDER BY number", (request.snapshotter,)
        ).fetchall()
        numbers = [number for number, _ in rows]
        committed = [number for number, kind in rows if kind == Kind.COMMITTED]
        highest = self.store.read("SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'").fetchone()
        return Numbers(numbers=numbers, committed=committed, highest=int(highest[0]) if highest else 0)

    # -- rows --------------------------------------------------------------------------------------------------------

    def _shown(self, place: Place, record: bytes, number: int) -> bytes:
        """A record as clients see it."""
        root = self._upperdirs.get(place.snapshotter)
        if root is None:
            return record
        info = records.decode(record, Info)
        return protocol.encode(replace(info, labels={**info.labels, UPPERDIR_LABEL: f"{root}/{number}/fs"}))

    def _place(self, call: Call, snapshotter: str) -> Place:
        name = snapshotter or self._default
        if name not in self._known:
            known = ", ".join(sorted(self._known))
            raise InvalidArgument(
                f"snapshotter '{name[:64]}' is not loaded; there are: {known}", details={"field": "snapshotter"}
            )
        return Place(check_namespace(call.namespace), name)

    def _find(self, place: Place, name: str) -> Row | None:
        found = self.store.read(
            "SELECT number, kind, parent FROM snapshots WHERE namespace = ? AND snapshotter = ? AND name = ?",
            (*place, name),
        ).fetchone()
        return Row(found[0], Kind(found[1]), found[2]) if found else None

    def _record(self, place: Place, name: str) -> tuple[bytes, int, int, int]:
        found = self.store.read(
            "SELECT record, number, size, inodes FROM snapshots WHERE namespace = ? AND snapshotter = ? AND name = ?",
            (*place, name),
        ).fetchone()
        if found is None:
            raise place.missing(name)
        record, number, size, inodes = found
        return record, number, size, inodes

    def _row(self, place: Place, name: str) -> SnapshotRow:
        record, number, size, inodes = self._record(place, name)
        info = records.decode(record, Info)
        return SnapshotRow(info=info, number=number, parents=self._ancestors(number), size=size, inodes=inodes)

    def _publish(self, place: Place, topic: str, event: dict[str, Any]) -> None:
        self.store.events.append(place.namespace, topic, event, now_ns=self.store.now_ns())


def _matches(info: Info, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path[0] == "labels":
            return info.labels.get(".".join(path[1:]))
        if path == ("kind",):
            return str(info.kind)
        if path == ("name",):
            return info.name
        return (info.parent or None) if path == ("parent",) else None

    return filters.matches(lookup)
