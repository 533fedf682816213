"""Names and labels of blobs: which namespace knows which digest. The bytes are the content worker's.

The content worker registers a blob when its bytes are in place and synced, and asks before it unlinks whether any
namespace still names it. Every method is atomic; registering and forgetting are told as `/content/create` and
`/content/delete`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from actors.call import Call, handles
from actors.internal import BlobForget, BlobNamed, BlobNames, BlobRegister, BlobRegistered
from actors.metadata import masks, records
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.transaction import Transactions, mutation
from wharfie import protocol
from wharfie.errors import FailedPrecondition, NotFound
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_count, check_digest, check_labels, check_namespace
from wharfie.types import content
from wharfie.types.base import Empty
from wharfie.types.content import Info

FIELDS = masks.Fields("a blob", frozenset({"labels"}), frozenset({"labels"}), (masks.Path("labels"),))


class ContentService:
    """`content.info`, `content.list`, `content.update`, and what the content worker asks."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("content.info")
    def info(self, call: Call, request: content.GetInfo) -> bytes:
        """What the namespace knows of a blob. Raises: InvalidArgument (no digest), NotFound."""
        return self._known(check_namespace(call.namespace), check_digest(request.digest))

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
        old = records.decode(self._known(namespace, digest), Info)
        labels = old.labels
        for path in paths:
            labels = masks.merged(labels, request.labels, path.key)
        check_labels(labels)
        return self._write(namespace, replace(old, labels=labels, updated_at_ns=self.store.now_ns()))

    @handles("metadata.blob_register")
    @mutation
    def register(self, call: Call, request: BlobRegister) -> BlobRegistered:
        """Name a blob whose bytes are in place; idempotent, labels are merged into those of a known one.

        Raises:
            InvalidArgument: no digest, size or label.
            FailedPrecondition: the namespace knows it with another size.
        """
        digest = check_digest(request.digest)
        check_count(request.size, field="size")
        namespace = ensure_namespace(self.store, call.namespace)
        known = self._record(namespace, digest)
        now_ns = self.store.now_ns()
        if known is None:
            check_labels(request.labels)
            labels = masks.present(request.labels)
            info = Info(digest=digest, size=request.size, labels=labels, created_at_ns=now_ns, updated_at_ns=now_ns)
            self._write(namespace, info)
            self._publish(namespace, "/content/create", {"digest": digest, "size": request.size})
            return BlobRegistered(new=True, info=info)
        old = records.decode(known, Info)
        if old.size != request.size:
            raise FailedPrecondition(
                f"blob '{digest}' in namespace '{namespace}' has {old.size} bytes, not {request.size}",
                details={"digest": digest, "size": old.size},
            )
        labels = masks.present({**old.labels, **request.labels})
        check_labels(labels)
        info = replace(old, labels=labels, updated_at_ns=now_ns) if labels != old.labels else old
        if info is not old:
            self._write(namespace, info)
        return BlobRegistered(new=False, info=info)

    @handles("metadata.blob_forget")
    @mutation
    def forget(self, call: Call, request: BlobForget) -> Empty:
        """The namespace no longer names the blob. Raises: InvalidArgument, NotFound."""
        namespace = check_namespace(call.namespace)
        digest = check_digest(request.digest)
        if not self.store.connection.execute(
            "DELETE FROM blobs WHERE namespace = ? AND digest = ?", (namespace, digest)
        ).rowcount:
            raise _missing(namespace, digest)
        self._publish(namespace, "/content/delete", {"digest": digest})
        return Empty()

    @handles("metadata.blob_named")
    def named(self, call: Call, request: BlobNamed) -> BlobNames:
        """Who names a digest. Raises: InvalidArgument (no digest)."""
        digest = check_digest(request.digest)
        rows = self.store.read("SELECT namespace, size FROM blobs WHERE digest = ?", (digest,)).fetchall()
        here = any(namespace == call.namespace for namespace, _ in rows)
        return BlobNames(here=here, anywhere=bool(rows), size=rows[0][1] if rows else 0)

    def _record(self, namespace: str, digest: str) -> bytes | None:
        row = self.store.read(
            "SELECT record FROM blobs WHERE namespace = ? AND digest = ?", (namespace, digest)
        ).fetchone()
        return row[0] if row else None

    def _known(self, namespace: str, digest: str) -> bytes:
        record = self._record(namespace, digest)
        if record is None:
            raise _missing(namespace, digest)
        return record

    def _write(self, namespace: str, info: Info) -> bytes:
        record = protocol.encode(info)
        self.store.connection.execute(
            "INSERT INTO blobs(namespace, digest, size, record) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (namespace, digest) DO UPDATE SET record = excluded.record",
            (namespace, info.digest, info.size, record),
        )
        return record

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
