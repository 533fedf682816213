"""Leases: what they hold is not garbage, whoever names it or does not.

Every method is atomic and answers with what is stored. What other calls create is added to their lease by `holding`.
"""

from __future__ import annotations

import base64
import os

from msgspec.structs import replace

from actors.call import Call, handles
from actors.internal import HeldIngests, IngestsHeld, LeaseHold
from actors.metadata import masks, records
from actors.metadata.holding import missing
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.references import CONTENT, IMAGES, INGESTS, SNAPSHOTS, Kind, expires_ns
from actors.metadata.transaction import Replying, Transactions, mutation
from wharfie import protocol
from wharfie.errors import AlreadyExists, InvalidArgument, Unimplemented
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_digest, check_labels, check_name, check_namespace
from wharfie.types import leases
from wharfie.types.base import Empty
from wharfie.types.leases import FLAT_LABEL, Lease, Resource

FIELDS = masks.Fields("a lease", frozenset({"labels"}), frozenset({"labels"}), (masks.Path("labels"),))


class LeaseService:
    """`leases.*`."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("leases.get")
    def get(self, call: Call, request: leases.Get) -> bytes:
        """A lease. Raises: NotFound."""
        return self._row(check_namespace(call.namespace), request.id)[1]

    @handles("leases.list")
    def list(self, call: Call, request: leases.List) -> bytes:
        """Leases by id; filters on `id` and `labels.K`."""
        filters = Filters(request.filters)
        rows = [
            row[0]
            for row in self.store.read(
                "SELECT record FROM leases WHERE namespace = ? ORDER BY id", (check_namespace(call.namespace),)
            )
        ]
        if not filters.always:
            rows = [row for row in rows if _matches(records.decode(row, Lease), filters)]
        return records.listing("leases", rows)

    @handles("leases.create")
    @mutation
    def create(self, call: Call, request: leases.Create) -> bytes:
        """Make a lease; an empty id gets a random one. Raises: InvalidArgument, AlreadyExists."""
        name = check_name(request.id or self._random_id(), field="id")
        check_labels(request.labels)
        namespace = ensure_namespace(self.store, call.namespace)
        labels = masks.present(request.labels)
        number = self.store.holding.create(
            namespace, Lease(id=name, labels=labels), expires_ns=expires_ns(labels), is_flat=FLAT_LABEL in labels
        )
        if number is None:
            raise AlreadyExists(
                f"lease '{name[:64]}' exists in namespace '{namespace}'; use it or take another id",
                details={"id": name[:64]},
            )
        return self._row(namespace, name)[1]

    def _random_id(self) -> str:
        return f"{self.store.now_ns()}-{base64.urlsafe_b64encode(os.urandom(3)).decode()}"

    @handles("leases.update")
    @mutation
    def update(self, call: Call, request: leases.Update) -> bytes:
        """Change labels. Raises: NotFound, InvalidArgument (also: any other mask path)."""
        namespace = check_namespace(call.namespace)
        paths = masks.parse(request.mask, FIELDS)
        number, record = self._row(namespace, request.id)
        old = records.decode(record, Lease)
        labels = old.labels
        for path in paths:
            labels = masks.merged(labels, request.labels, path.key)
        check_labels(labels)
        record = protocol.encode(replace(old, labels=labels, updated_at_ns=self.store.now_ns()))
        self.store.connection.execute(
            "UPDATE leases SET record = ?, expires_ns = ?, is_flat = ? WHERE number = ?",
            (record, expires_ns(labels), FLAT_LABEL in labels, number),
        )
        graph = self.store.graph
        graph.expires(expires_ns(labels), now_ns=self.store.now_ns())
        graph.change(Kind.LEASE, number, namespace=namespace, before=old.labels, after=labels)
        graph.touched(namespace, Kind.LEASE, number)  # it may no longer be flat, or not expire
        return record

    @handles("leases.delete")
    def delete(self, call: Call, request: leases.Delete) -> Replying:
        """Give a lease up; with `sync` what only it held is gone when this is answered. Raises: NotFound."""
        return self.store.replying(self._delete(call, request), collected=request.sync)

    @mutation
    def _delete(self, call: Call, request: leases.Delete) -> Empty:
        number, _ = self._row(check_namespace(call.namespace), request.id)
        self.store.holding.delete(number)
        return Empty()

    @handles("leases.add_resource")
    @mutation
    def add_resource(self, call: Call, request: leases.AddResource) -> Empty:
        """Have a lease hold something, which need not exist; idempotent.

        Raises:
            NotFound: no such lease.
            InvalidArgument: it is no digest, or has no name.
            Unimplemented: an unknown type.
        """
        namespace = check_namespace(call.namespace)
        resource = _checked(request.resource)
        number, _ = self._row(namespace, request.id)
        self.store.holding.add(number, namespace, resource.type, resource.id)
        return Empty()

    @handles("leases.delete_resource")
    @mutation
    def delete_resource(self, call: Call, request: leases.DeleteResource) -> Empty:
        """Have a lease no longer hold something; idempotent. Raises: as `add_resource`."""
        resource = _checked(request.resource)
        number, _ = self._row(check_namespace(call.namespace), request.id)
        deleted = self.store.connection.execute(
            "DELETE FROM lease_resources WHERE lease = ? AND type = ? AND id = ?", (number, resource.type, resource.id)
        ).rowcount
        self.store.graph.deletions += deleted
        return Empty()

    @handles("leases.resources")
    def resources(self, call: Call, request: leases.ListResources) -> leases.Resources:
        """What a lease holds, by type and id. Raises: NotFound."""
        number, _ = self._row(check_namespace(call.namespace), request.id)
        rows = self.store.read("SELECT type, id FROM lease_resources WHERE lease = ? ORDER BY type, id", (number,))
        return leases.Resources(resources=[Resource(type=kind, id=name) for kind, name in rows])

    @handles("metadata.lease_hold")
    @mutation
    def hold(self, call: Call, request: LeaseHold) -> Empty:
        """Have the call's own lease hold something; without a lease a no-op. Raises: NotFound."""
        self.store.holding.hold_by_lease(call, request.type, request.id)
        return Empty()

    @handles("metadata.ingests_held")
    def ingests_held(self, call: Call, request: IngestsHeld) -> HeldIngests:
        """For each ingest whether a lease of its namespace holds it."""
        del call
        return HeldIngests(held=[self._is_held(ingest.namespace, ingest.ref) for ingest in request.ingests])

    def _is_held(self, namespace: str, ref: str) -> bool:
        found = self.store.read(
            "SELECT 1 FROM lease_resources JOIN leases ON number = lease"
            " WHERE type = 'ingests' AND lease_resources.id = ? AND namespace = ? LIMIT 1",
            (ref, namespace),
        )
        return found.fetchone() is not None

    def _row(self, namespace: str, name: str) -> tuple[int, bytes]:
        row = self.store.read(
            "SELECT number, record FROM leases WHERE namespace = ? AND id = ?", (namespace, name)
        ).fetchone()
        if row is None:
            raise missing(namespace, name)
        return int(row[0]), bytes(row[1])


def _checked(resource: Resource) -> Resource:
    kind, slash, snapshotter = resource.type.partition("/")
    if resource.type == CONTENT:
        check_digest(resource.id, field="resource.id")
        return resource
    if f"{kind}/" == SNAPSHOTS:
        if not slash or not snapshotter:
            raise InvalidArgument(
                "resource type 'snapshots' names no snapshotter; write 'snapshots/overlayfs'",
                details={"field": "resource.type"},
            )
    elif resource.type not in (INGESTS, IMAGES):
        raise Unimplemented(
            f"resource type '{resource.type[:64]}' is unknown; there are content, ingests, images and"
            " snapshots/SNAPSHOTTER",
            details={"field": "resource.type"},
        )
    check_name(resource.id, field="resource.id")
    return resource


def _matches(lease: Lease, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path == ("id",):
            return lease.id
        return lease.labels.get(".".join(path[1:])) if path[0] == "labels" else None

    return filters.matches(lookup)
