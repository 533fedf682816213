"""Image manifests and indexes, and their safe decoding.

A document that carries both `manifests` and `layers` can mean one thing to us and another to the next reader
(CVE-2021-41190), so it is refused; and a document larger than the limit is refused before it is parsed.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor

_T = TypeVar("_T")

MAX_DOCUMENT_BYTES = 20 * 1024 * 1024
"""What a JSON document of an archive may weigh at most (containerd's cap after CVE-2023-25153)."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image for one platform: its configuration and its layers, the lowest first."""

    schema_version: int = msgspec.field(default=2, name="schemaVersion")
    media_type: str | None = msgspec.field(default=None, name="mediaType")
    artifact_type: str | None = msgspec.field(default=None, name="artifactType")
    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A list of manifests, usually one for each platform."""

    schema_version: int = msgspec.field(default=2, name="schemaVersion")
    media_type: str | None = msgspec.field(default=None, name="mediaType")
    artifact_type: str | None = msgspec.field(default=None, name="artifactType")
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class _Shape(msgspec.Struct, kw_only=True):
    """Only what tells an index from a manifest; raw, so that nothing is built twice."""

    media_type: str | None = msgspec.field(default=None, name="mediaType")
    config: msgspec.Raw = msgspec.Raw()
    layers: msgspec.Raw = msgspec.Raw()
    manifests: msgspec.Raw = msgspec.Raw()


def decode_document(data: bytes, *, media_type: str | None = None) -> Manifest | Index:
    """Decode a manifest or an index and check that it is what its descriptor says.

    Args:
        data: the JSON bytes.
        media_type: the type in the descriptor that led here; None when nothing named it (an `index.json` on disk).

    Raises:
        InvalidArgument: not JSON, too large, ambiguous, or of another type than promised.

    """
    shape = _decode(data, _Shape, what="manifest")
    is_index = _is_present(shape.manifests)
    if is_index and (_is_present(shape.layers) or _is_present(shape.config)):
        raise InvalidArgument("manifest is ambiguous: it has both 'manifests' and 'layers' or 'config'")
    _check_type(media_type, is_index=is_index)
    _check_type(shape.media_type, is_index=is_index)
    return _decode(data, Index, what="index") if is_index else _decode(data, Manifest, what="manifest")


def decode_manifest(data: bytes, *, media_type: str | None = None) -> Manifest:
    """Decode what must be a manifest; see `decode_document`."""
    document = decode_document(data, media_type=media_type)
    if isinstance(document, Index):
        raise InvalidArgument("expected a manifest, found an index: choose one of its platforms")
    return document


def decode_index(data: bytes, *, media_type: str | None = None) -> Index:
    """Decode what must be an index; see `decode_document`."""
    document = decode_document(data, media_type=media_type)
    if isinstance(document, Manifest):
        raise InvalidArgument("expected an index, found a manifest")
    return document


def _is_present(value: msgspec.Raw) -> bool:
    return bytes(value) not in {b"", b"null"}


def _check_type(media_type: str | None, *, is_index: bool) -> None:
    if media_type is None:
        return
    if media_type in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        found = "an index" if is_index else "a manifest"
        raise InvalidArgument(f"manifest's media type is '{media_type}' but its content is {found}")


def _decode(data: bytes, kind: type[_T], *, what: str) -> _T:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidArgument(f"{what} has {len(data)} bytes, more than {MAX_DOCUMENT_BYTES}")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{what} is malformed: {error}") from error
