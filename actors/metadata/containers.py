"""Containers: records of what is to be run. Image and snapshot are names here and need not exist.

Every method is atomic and answers with what is stored. A record's spec and extensions lie apart from the rest, so that
lists without them stay small. Deleting a record leaves its task alone: that check is the caller's.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from actors.call import Call, handles
from actors.metadata import masks, records
from actors.metadata.masks import Path
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.references import SNAPSHOTS, Kind, Reference, Relation
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_identifier, check_labels, check_namespace
from wharfie.types import containers
from wharfie.types.base import Empty
from wharfie.types.containers import Container

_DEFAULT = ("labels", "spec", "extensions", "image", "snapshot_key")
FIELDS = masks.Fields(
    "a container",
    frozenset({*_DEFAULT, "snapshotkey"}),
    frozenset({"labels", "extensions"}),
    tuple(Path(field) for field in _DEFAULT),
)


class ContainerService:
    """`containers.*`."""

    def __init__(self, store: Transactions, *, reply_max_bytes: int = protocol.MAX_MESSAGE_BYTES) -> None:
        self.store = store
        self._reply_max_bytes = reply_max_bytes

    @handles("containers.get")
    def get(self, call: Call, request: containers.Get) -> bytes:
        """A container's record. Raises: NotFound."""
        row = self.store.read(
            "SELECT record, spec, extensions FROM containers WHERE namespace = ? AND id = ?",
            (check_namespace(call.namespace), request.id),
        ).fetchone()
        if row is None:
            raise _missing(call.namespace, request.id)
        return _whole(*row)

    @handles("containers.list")
    def list(self, call: Call, request: containers.List) -> bytes:
        """Records by id. Raises: ResourceExhausted (with their specs they are larger than a message may be)."""
        namespace = check_namespace(call.namespace)
        filters = Filters(request.filters)
        columns = "record" if request.without_spec else "record, spec, extensions"
        rows = self.store.read(f"SELECT {columns} FROM containers WHERE namespace = ? ORDER BY id", (namespace,))  # noqa: S608 - two constants
        found = (row for row in rows if filters.always or _matches(records.decode(row[0], Container), filters))
        reply = records.listing(
            "containers", [row[0] for row in found] if request.without_spec else [_whole(*row) for row in found]
        )
        if len(reply) > self._reply_max_bytes:
            raise ResourceExhausted(
                f"the list of containers in namespace '{namespace}' has {len(reply)} bytes and a message at most"
                f" {self._reply_max_bytes}; list without specs, or with filters",
                details={"size_bytes": len(reply), "max_bytes": self._reply_max_bytes},
            )
        return reply

    @handles("containers.create")
    @mutation
    def create(self, call: Call, request: containers.Create) -> bytes:
        """Store a record; the server sets both times. Raises: InvalidArgument, AlreadyExists."""
        wanted = request.container
        check_identifier(wanted.id, field="id")
        _check(wanted)
        namespace = ensure_namespace(self.store, call.namespace)
        now_ns = self.store.now_ns()
        made = replace(wanted, labels=masks.present(wanted.labels), created_at_ns=now_ns, updated_at_ns=now_ns)
        row = _encode(made)
        inserted = self.store.connection.execute(
            "INSERT INTO containers(namespace, id, record, spec, extensions) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (namespace, made.id, *row),
        )
        if not inserted.rowcount:
            raise AlreadyExists(
                f"container '{made.id}' exists in namespace '{namespace}'; remove it or take another id",
                details={"id": made.id},
            )
        further = _snapshot_of(made)
        self.store.graph.add(
            Kind.CONTAINER, inserted.lastrowid, namespace=namespace, labels=made.labels, further=further
        )
        self._take_over(namespace, further)
        runtime = {"name": made.runtime.name, "options": made.runtime.options}
        self._publish(namespace, "/containers/create", {"id": made.id, "image": made.image, "runtime": runtime})
        return _whole(*row)

    @handles("containers.update")
    @mutation
    def update(self, call: Call, request: containers.Update) -> bytes:
        """Change what the mask names; without a mask all that can be changed.

        Raises:
            NotFound: there is none.
            InvalidArgument: an unknown path; an empty mask with another snapshotter or runtime, which never change.
        """
        namespace = check_namespace(call.namespace)
        wanted = request.container
        check_identifier(wanted.id, field="id")
        paths = masks.parse(request.mask, FIELDS)
        found = self.store.read(
            "SELECT number, record, spec, extensions FROM containers WHERE namespace = ? AND id = ?",
            (namespace, wanted.id),
        ).fetchone()
        if found is None:
            raise _missing(namespace, wanted.id)
        number, *row = found
        old = records.decode(_whole(*row), Container)
        if not request.mask:
            _check_immutable(old, wanted)
        made = replace(_merge(old, wanted, paths), updated_at_ns=self.store.now_ns())
        _check(made)
        row = _encode(made)
        self.store.connection.execute(
            "UPDATE containers SET record = ?, spec = ?, extensions = ? WHERE number = ?", (*row, number)
        )
        self.store.graph.change(
            Kind.CONTAINER,
            number,
            namespace=namespace,
            before=old.labels,
            after=made.labels,
            further=(_snapshot_of(old), _snapshot_of(made)),
        )
        if made.snapshot_key != old.snapshot_key:
            self._take_over(namespace, _snapshot_of(made))
        event = {"id": made.id, "image": made.image, "labels": made.labels, "snapshot_key": made.snapshot_key}
        self._publish(namespace, "/containers/update", event)
        return _whole(*row)

    @handles("containers.delete")
    @mutation
    def delete(self, call: Call, request: containers.Delete) -> Empty:
        """Remove a record. Raises: NotFound."""
        namespace = check_namespace(call.namespace)
        found = self.store.read(
            "SELECT number FROM containers WHERE namespace = ? AND id = ?", (namespace, request.id)
        ).fetchone()
        if found is None:
            raise _missing(namespace, request.id)
        self.store.connection.execute("DELETE FROM containers WHERE number = ?", found)
        self.store.graph.forget(Kind.CONTAINER, found[0])
        self._publish(namespace, "/containers/delete", {"id": request.id})
        return Empty()

    def _take_over(self, namespace: str, further: tuple[Reference, ...]) -> None:
        for reference in further:
            self.store.holding.release_default(namespace, reference.type, reference.name)

    def _publish(self, namespace: str, topic: str, event: dict[str, Any]) -> None:
        self.store.events.append(namespace, topic, event, now_ns=self.store.now_ns())


def _snapshot_of(container: Container) -> tuple[Reference, ...]:
    """What a container keeps without a label."""
    if not container.snapshot_key:
        return ()
    return (Reference(Relation.FORWARD, f"{SNAPSHOTS}{container.snapshotter}", container.snapshot_key),)


def _encode(container: Container) -> tuple[bytes, bytes, bytes]:
    """The three columns of a row: the record without its large parts, and these."""
    return (
        protocol.encode(replace(container, spec={}, extensions={})),
        protocol.encode(container.spec),
        protocol.encode(container.extensions),
    )


def _whole(record: bytes, spec: bytes, extensions: bytes) -> bytes:
    return records.with_fields(record, (("spec", spec), ("extensions", extensions)))


def _check(container: Container) -> None:
    """Pass when a record is complete. Raises: InvalidArgument naming the field."""
    for field, value in (("runtime.name", container.runtime.name), ("spec", container.spec)):
        if not value:
            raise InvalidArgument(f"container '{container.id}' has no {field}; give it", details={"field": field})
    if container.snapshot_key and not container.snapshotter:
        raise InvalidArgument(
            f"container '{container.id}' has a snapshot_key and no snapshotter; name the snapshotter",
            details={"field": "snapshotter"},
        )
    if "" in container.extensions:
        raise InvalidArgument(
            f"container '{container.id}' has an extension with an empty key; name it", details={"field": "extensions"}
        )
    check_labels(container.labels)


def _check_immutable(old: Container, wanted: Container) -> None:
    for field, before, after in (
        ("snapshotter", old.snapshotter, wanted.snapshotter),
        ("runtime.name", old.runtime.name, wanted.runtime.name),
    ):
        if before != after:
            raise InvalidArgument(
                f"{field} of container '{old.id}' is '{before}' and cannot be changed; remove and create it anew",
                details={"field": field},
            )


def _merge(old: Container, wanted: Container, paths: tuple[Path, ...]) -> Container:
    made = old
    for field, key in paths:
        if field == "labels":
            made = replace(made, labels=masks.merged(made.labels, wanted.labels, key))
        elif field == "extensions":
            made = replace(made, extensions=masks.merged_values(made.extensions, wanted.extensions, key))
        elif field == "spec":
            made = replace(made, spec=wanted.spec)
        elif field == "image":
            made = replace(made, image=wanted.image)
        else:
            made = replace(made, snapshot_key=wanted.snapshot_key)
    return made


def _missing(namespace: str, name: str) -> NotFound:
    return NotFound(f"container '{name}' not found in namespace '{namespace}'", details={"id": name})


def _matches(container: Container, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path[0] == "labels":
            return container.labels.get(".".join(path[1:]))
        if path == ("id",):
            return container.id
        if path == ("image",):
            return container.image or None
        return container.runtime.name if path == ("runtime", "name") else None

    return filters.matches(lookup)
