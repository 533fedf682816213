"""Names and labels of blobs: which namespace knows which digest. The bytes are the content worker's.

The content worker registers a blob when its bytes are in place and synced, and asks before it unlinks whether any
namespace still names it. Every method is atomic; registering and forgetting are told as `/content/create` and
`/content/delete`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from actors.call import Call, handles
from actors.internal import (
    BlobClaim,
    BlobForget,
    BlobNamed,
    BlobNames,
    BlobRegister,
    BlobRegistered,
    BlobsNamed,
    NamedBlobs,
)
from actors.metadata import masks, records
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.references import CONTENT, INGESTS, Kind
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import FailedPrecondition, NotFound
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_count, check_digest, check_labels, check_namespace
from wharfie.types import content
from wharfie.types.base import Empty, Labels
from wharfie.types.content import Info
from wharfie.types.namespaces import Namespace

SHAREABLE_LABEL = "containerd.io/namespace.shareable"
"""With the value `true`: what the namespace has others may have without its bytes, also where they are isolated."""

FIELDS = masks.Fields("a blob", frozenset({"labels"}), frozenset({"labels"}), (masks.Path("labels"),))


class ContentService:
    """`content.info`, `content.list`, `content.update`, and what the content worker asks."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("content.info")
    def info(self, call: Call, request: content.GetInfo) -> bytes:
        """What the namespace knows of a blob. Raises: InvalidArgument (no digest), NotFound."""
        return self._known(check_namespace(call.namespace), check_digest(request.digest))[1]

    @handles("content.list")
    def list(self, call: Call, request: content.List) -> bytes:
        """The namespace's blobs by digest; filters on `digest` and `labels.K`."""
        filters = Filters(request.filters)
        rows = [
            row[0]
            for row in self.store.read(
                "SELECT record FROM blobs WHERE namespace = ? ORDER BY digest", (check_namespace(call.namespace),)
            )
        ]
        if not filters.always:
            rows = [row for row in rows if _matches(records.decode(row, Info), filters)]
        return records.listing("blobs", rows)

    @handles("content.update")
    @mutation
    def update(self, call: Call, request: content.Update) -> bytes:
        """Change labels. Raises: InvalidArgument (also: any other mask path), NotFound."""
        namespace = check_namespace(call.namespace)
        digest = check_digest(request.digest)
        paths = masks.parse(request.mask, FIELDS)
        number, record = self._known(namespace, digest)
        old = records.decode(record, Info)
        labels = old.labels
        for path in paths:
            labels = masks.merged(labels, request.labels, path.key)
        check_labels(labels)
        return self._change(namespace, number, old, labels)[1]

    @handles("metadata.blob_register")
    @mutation
    def register(self, call: Call, request: BlobRegister) -> BlobRegistered:
        """Name a blob whose bytes are in place, and hold it by the call's lease; idempotent, labels are merged into
        those of a known one.

        Raises:
            InvalidArgument: no digest, size or label.
            NotFound: no such lease.
            FailedPrecondition: the namespace knows it with another size.
        """
        digest = check_digest(request.digest)
        check_count(request.size, field="size")
        namespace = ensure_namespace(self.store, call.namespace)
        if call.lease and request.ref:
            self.store.holding.release(call, INGESTS, request.ref)
        known = self._find(namespace, digest)
        if known is None:
            return BlobRegistered(new=True, info=self._create(call, namespace, request))
        number, record = known
        old = records.decode(record, Info)
        if old.size != request.size:
            raise FailedPrecondition(
                f"blob '{digest}' in namespace '{namespace}' has {old.size} bytes, not {request.size}",
                details={"digest": digest, "size": old.size},
            )
        labels = masks.present({**old.labels, **request.labels})
        check_labels(labels)
        info = self._change(namespace, number, old, labels)[0] if labels != old.labels else old
        self.store.holding.hold(call, CONTENT, digest)
        return BlobRegistered(new=False, info=info)

    def _create(self, call: Call, namespace: str, request: BlobRegister) -> Info:
        check_labels(request.labels)
        now_ns = self.store.now_ns()
        labels = masks.present(request.labels)
        info = Info(digest=request.digest, size=request.size, labels=labels, created_at_ns=now_ns, updated_at_ns=now_ns)
        number = self.store.connection.execute(
            "INSERT INTO blobs(namespace, digest, size, record) VALUES (?, ?, ?, ?)",
            (namespace, info.digest, info.size, protocol.encode(info)),
        ).lastrowid
        self.store.graph.add(Kind.BLOB, number, namespace=namespace, labels=labels)
        self.store.holding.hold(call, CONTENT, info.digest)
        self._publish(namespace, "/content/create", {"digest": info.digest, "size": info.size})
        return info

    @handles("metadata.blob_forget")
    @mutation
    def forget(self, call: Call, request: BlobForget) -> Empty:
        """The namespace no longer names the blob. Raises: InvalidArgument, NotFound."""
        namespace = check_namespace(call.namespace)
        digest = check_digest(request.digest)
        number, _ = self._known(namespace, digest)
        self.store.connection.execute("DELETE FROM blobs WHERE number = ?", (number,))
        self.store.graph.forget(Kind.BLOB, number)
        self.store.holding.release(call, CONTENT, digest)
        self._publish(namespace, "/content/delete", {"digest": digest})
        return Empty()

    @handles("metadata.blob_named")
    def named(self, call: Call, request: BlobNamed) -> BlobNames:
        """Who names a digest. Raises: InvalidArgument (no digest)."""
        return self._names(call.namespace, check_digest(request.digest))

    @handles("metadata.blob_claim")
    @mutation
    def claim(self, call: Call, request: BlobClaim) -> BlobNames:
        """As `named`, and hold what the namespace names. Raises: InvalidArgument, NotFound (no such lease)."""
        names = self._names(check_namespace(call.namespace), check_digest(request.digest))
        if names.here:
            self.store.holding.hold(call, CONTENT, request.digest)
        else:
            self.store.holding.check(call)
        return names

    @handles("metadata.blobs_named")
    def any_named(self, call: Call, request: BlobsNamed) -> NamedBlobs:
        """Which of these some namespace names."""
        del call
        found = self.store.read(
            "SELECT DISTINCT digest FROM blobs WHERE digest IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(request.digests).decode(),),
        )
        return NamedBlobs(digests=[digest for (digest,) in found])

    def _names(self, namespace: str, digest: str) -> BlobNames:
        rows = self.store.read("SELECT namespace, size FROM blobs WHERE digest = ?", (digest,)).fetchall()
        for name, size in rows:
            if name == namespace:
                return BlobNames(here=True, anywhere=True, size=size)
        is_shareable = any(self._is_shareable(name) for name, _ in rows)
        return BlobNames(here=False, anywhere=bool(rows), size=rows[0][1] if rows else 0, is_shareable=is_shareable)

    def _is_shareable(self, namespace: str) -> bool:
        row = self.store.read("SELECT record FROM namespaces WHERE name = ?", (namespace,)).fetchone()
        return row is not None and records.decode(row[0], Namespace).labels.get(SHAREABLE_LABEL) == "true"

    def _find(self, namespace: str, digest: str) -> tuple[int, bytes] | None:
        row = self.store.read(
            "SELECT number, record FROM blobs WHERE namespace = ? AND digest = ?", (namespace, digest)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def _known(self, namespace: str, digest: str) -> tuple[int, bytes]:
        found = self._find(namespace, digest)
        if found is None:
            raise _missing(namespace, digest)
        return found

    def _change(self, namespace: str, number: int, old: Info, labels: Labels) -> tuple[Info, bytes]:
        info = replace(old, labels=labels, updated_at_ns=self.store.now_ns())
        record = protocol.encode(info)
        self.store.connection.execute("UPDATE blobs SET record = ? WHERE number = ?", (record, number))
        self.store.graph.change(Kind.BLOB, number, namespace=namespace, before=old.labels, after=labels)
        return info, record

    def _publish(self, namespace: str, topic: str, event: dict[str, Any]) -> None:
        self.store.events.append(namespace, topic, event, now_ns=self.store.now_ns())


def _missing(namespace: str, digest: str) -> NotFound:
    return NotFound(f"blob '{digest}' not found in namespace '{namespace}'", details={"digest": digest})


def _matches(info: Info, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path == ("digest",):
            return info.digest
        return info.labels.get(".".join(path[1:])) if path[0] == "labels" else None

    return filters.matches(lookup)
