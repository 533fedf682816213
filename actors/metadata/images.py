"""Images: names for content. What a name stands for need not be there.

Every method is atomic and answers with what is stored.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from actors.call import Call, handles
from actors.metadata import masks, records
from actors.metadata.masks import Path
from actors.metadata.namespaces import ensure_namespace
from actors.metadata.references import CONTENT, IMAGES, Kind, expires_ns
from actors.metadata.transaction import Replying, Transactions, mutation
from wharfie import protocol
from wharfie.errors import AlreadyExists, NotFound
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import (
    check_count,
    check_digest,
    check_labels,
    check_media_type,
    check_name,
    check_namespace,
)
from wharfie.types import images
from wharfie.types.base import Empty
from wharfie.types.images import Image
from wharfie.types.leases import EXPIRE_LABEL

FIELDS = masks.Fields(
    "an image",
    frozenset({"labels", "target", "annotations"}),
    frozenset({"labels", "annotations"}),
    (Path("labels"), Path("target")),
)


class ImageService:
    """`images.*`."""

    def __init__(self, store: Transactions) -> None:
        self.store = store

    @handles("images.get")
    def get(self, call: Call, request: images.Get) -> bytes:
        """An image. Raises: NotFound."""
        return self._record(check_namespace(call.namespace), request.name)

    @handles("images.list")
    def list(self, call: Call, request: images.List) -> bytes:
        """Images by name; filters as in `images.List`."""
        filters = Filters(request.filters)
        rows = [
            row[0]
            for row in self.store.read(
                "SELECT record FROM images WHERE namespace = ? ORDER BY name", (check_namespace(call.namespace),)
            )
        ]
        if not filters.always:
            rows = [row for row in rows if _matches(records.decode(row, Image), filters)]
        return records.listing("images", rows)

    @handles("images.create")
    @mutation
    def create(self, call: Call, request: images.Create) -> bytes:
        """Give a name to content; the server sets both times. One that expires is held by the call's lease.

        Raises: InvalidArgument, AlreadyExists, NotFound (no such lease).
        """
        now_ns = self.store.now_ns()
        made = replace(
            request.image, labels=masks.present(request.image.labels), created_at_ns=now_ns, updated_at_ns=now_ns
        )
        made = replace(made, target=replace(made.target, annotations=masks.present(made.target.annotations)))
        _check(made)
        namespace = ensure_namespace(self.store, call.namespace)
        record = protocol.encode(made)
        inserted = self.store.connection.execute(
            "INSERT INTO images(namespace, name, digest, expires_ns, record) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (namespace, made.name, made.target.digest, expires_ns(made.labels), record),
        )
        if not inserted.rowcount:
            raise AlreadyExists(
                f"image '{made.name}' exists in namespace '{namespace}'; update it", details={"name": made.name}
            )
        graph = self.store.graph
        graph.add(Kind.IMAGE, inserted.lastrowid, namespace=namespace, labels=made.labels)
        graph.named(namespace, CONTENT, made.target.digest)
        graph.expires(expires_ns(made.labels), now_ns=now_ns)
        if EXPIRE_LABEL in made.labels:
            self.store.holding.hold_by_lease(call, IMAGES, made.name)
        self._publish(namespace, "/images/create", {"name": made.name, "labels": made.labels})
        return record

    @handles("images.update")
    @mutation
    def update(self, call: Call, request: images.Update) -> bytes:
        """Change what the mask names; without a mask labels and target. Raises: NotFound, InvalidArgument."""
        namespace = check_namespace(call.namespace)
        wanted = request.image
        check_name(wanted.name, field="name")
        paths = masks.parse(request.mask, FIELDS)
        number, found = self._row(namespace, wanted.name)
        old = records.decode(found, Image)
        made = replace(_merge(old, wanted, paths), updated_at_ns=self.store.now_ns())
        _check(made)
        record = protocol.encode(made)
        self.store.connection.execute(
            "UPDATE images SET digest = ?, expires_ns = ?, record = ? WHERE number = ?",
            (made.target.digest, expires_ns(made.labels), record, number),
        )
        self._changed(namespace, number, old, made)
        self._publish(namespace, "/images/update", {"name": made.name, "labels": made.labels})
        return record

    @handles("images.delete")
    def delete(self, call: Call, request: images.Delete) -> Replying:
        """Forget a name; with `sync` what only it held is gone when this is answered.

        Raises: NotFound (also: it stands for another digest than `target` says).
        """
        return self.store.replying(self._delete(call, request), collected=request.sync)

    @mutation
    def _delete(self, call: Call, request: images.Delete) -> Empty:
        namespace = check_namespace(call.namespace)
        number, record = self._row(namespace, request.name)
        if request.target is not None:
            digest = check_digest(request.target.digest, field="target.digest")
            found = records.decode(record, Image)
            if found.target.digest != digest:
                raise NotFound(
                    f"image '{request.name}' in namespace '{namespace}' is {found.target.digest}, not {digest}",
                    details={"name": request.name, "digest": found.target.digest},
                )
        self.store.connection.execute("DELETE FROM images WHERE number = ?", (number,))
        self.store.graph.forget(Kind.IMAGE, number)
        self._publish(namespace, "/images/delete", {"name": request.name})
        return Empty()

    def _changed(self, namespace: str, number: int, old: Image, made: Image) -> None:
        graph = self.store.graph
        graph.change(Kind.IMAGE, number, namespace=namespace, before=old.labels, after=made.labels)
        graph.touched(namespace, Kind.IMAGE, number)  # it may no longer expire
        graph.expires(expires_ns(made.labels), now_ns=self.store.now_ns())
        if made.target.digest != old.target.digest:
            graph.named(namespace, CONTENT, made.target.digest)
            graph.deletions += 1

    def _record(self, namespace: str, name: str) -> bytes:
        return self._row(namespace, name)[1]

    def _row(self, namespace: str, name: str) -> tuple[int, bytes]:
        row = self.store.read(
            "SELECT number, record FROM images WHERE namespace = ? AND name = ?", (namespace, name)
        ).fetchone()
        if row is None:
            raise _missing(namespace, name)
        return int(row[0]), bytes(row[1])

    def _publish(self, namespace: str, topic: str, event: dict[str, Any]) -> None:
        self.store.events.append(namespace, topic, event, now_ns=self.store.now_ns())


def _check(image: Image) -> None:
    """Pass when an image is complete. Raises: InvalidArgument naming the field."""
    check_name(image.name, field="name")
    check_digest(image.target.digest, field="target.digest")
    check_count(image.target.size, field="target.size", low=1)
    check_media_type(image.target.media_type, field="target.media_type")
    check_labels(image.labels)


def _merge(old: Image, wanted: Image, paths: tuple[Path, ...]) -> Image:
    made = old
    for field, key in paths:
        if field == "labels":
            made = replace(made, labels=masks.merged(made.labels, wanted.labels, key))
        elif field == "target":
            annotations = masks.present(wanted.target.annotations)
            made = replace(made, target=replace(wanted.target, annotations=annotations))
        else:
            annotations = masks.merged(made.target.annotations, wanted.target.annotations, key)
            made = replace(made, target=replace(made.target, annotations=annotations))
    return made


def _missing(namespace: str, name: str) -> NotFound:
    return NotFound(f"image '{name}' not found in namespace '{namespace}'", details={"name": name})


def _matches(image: Image, filters: Filters) -> bool:
    def lookup(path: FieldPath) -> str | None:
        if path[0] in {"labels", "annotations"}:
            entries = image.labels if path[0] == "labels" else image.target.annotations
            return entries.get(".".join(path[1:]))
        if path == ("name",):
            return image.name
        if path == ("target", "digest"):
            return image.target.digest
        return image.target.media_type if path in {("target", "mediatype"), ("target", "media_type")} else None

    return filters.matches(lookup)
