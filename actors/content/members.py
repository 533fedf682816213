"""Which blobs an image is made of, as far as the store has them. Blocks: it reads manifests."""

from __future__ import annotations

import os
from collections.abc import Mapping

from actors.content.store import BlobStore
from wharfie.errors import InvalidArgument
from wharfie.identifiers import is_digest
from wharfie.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES
from wharfie.oci.manifest import MAX_DOCUMENT_BYTES, Index, decode_document
from wharfie.types.base import Descriptor

MAX_MEMBERS = 100_000
"""What one image may refer to: a hostile index of indexes ends here."""


def sizes(store: BlobStore, named: Mapping[str, int], target: Descriptor) -> dict[str, int]:
    """Digest to size of an image's blobs.

    Of an index, only manifests that are there count: other platforms were not fetched. A manifest's own configuration
    and layers count even when they are not there, and so does the target.

    Args:
        store: to read manifests from.
        named: what the namespace knows, digest to size.
        target: the image's.

    Raises:
        InvalidArgument: the image refers to too many blobs.
    """
    found = {target.digest: named.get(target.digest, target.size)}
    pending = [(target.media_type, target.digest)]
    while pending:
        media_type, digest = pending.pop()
        if media_type not in INDEX_TYPES and media_type not in MANIFEST_TYPES:
            continue
        for child_type, child, size, is_needed in _children(store, media_type, digest):
            if child in found or not is_digest(child) or not (is_needed or child in named):
                continue
            if len(found) >= MAX_MEMBERS:
                raise InvalidArgument(f"image refers to more than {MAX_MEMBERS} blobs", details={"field": "image"})
            found[child] = named.get(child, size)
            pending.append((child_type, child))
    return found


def _children(store: BlobStore, media_type: str, digest: str) -> list[tuple[str, str, int, bool]]:
    """Media type, digest, size of what a document refers to, and whether an image is damaged without it.

    A document that is damaged itself has none; the check tells of it.
    """
    try:
        fd = store.open(digest)
        try:
            data = os.pread(fd, MAX_DOCUMENT_BYTES, 0)
        finally:
            os.close(fd)
        document = decode_document(data, media_type=media_type)
    except (OSError, InvalidArgument):
        return []
    if isinstance(document, Index):
        return [(entry.media_type, entry.digest, entry.size, False) for entry in document.manifests]
    return [(entry.media_type, entry.digest, entry.size, True) for entry in (document.config, *document.layers)]
