"""The documents of an image that is another image in another form. Pure.

What a document says beyond what changes is kept, known here or not. A document in which nothing changes stays the
bytes it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actors.transfer.diff.sink import Compression
from wharfie.errors import InvalidArgument, Unimplemented
from wharfie.oci import descriptor as oci
from wharfie.oci.descriptor import Descriptor
from wharfie.oci.variants import ATTESTED

_OCI_LAYERS = {
    Compression.NONE: oci.MEDIA_TYPE_LAYER,
    Compression.GZIP: oci.MEDIA_TYPE_LAYER_GZIP,
    Compression.ZSTD: oci.MEDIA_TYPE_LAYER_ZSTD,
}
_DOCKER_LAYERS = {
    Compression.NONE: oci.MEDIA_TYPE_DOCKER_LAYER,
    Compression.GZIP: oci.MEDIA_TYPE_DOCKER_LAYER_GZIP,
    Compression.ZSTD: oci.MEDIA_TYPE_DOCKER_LAYER_ZSTD,
}
_FORMS = {
    **{name: (kind, True) for kind, name in _OCI_LAYERS.items()},
    **{name: (kind, False) for kind, name in _DOCKER_LAYERS.items()},
}
_AS_OCI = {
    oci.MEDIA_TYPE_DOCKER_LIST: oci.MEDIA_TYPE_INDEX,
    oci.MEDIA_TYPE_DOCKER_MANIFEST: oci.MEDIA_TYPE_MANIFEST,
    oci.MEDIA_TYPE_DOCKER_CONFIG: oci.MEDIA_TYPE_CONFIG,
    **{_DOCKER_LAYERS[kind]: _OCI_LAYERS[kind] for kind in Compression},
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    ),
    "application/vnd.docker.image.rootfs.foreign.diff.tar": "application/vnd.oci.image.layer.nondistributable.v1.tar",
}
_OF_THE_BYTES = ("containerd.io/snapshot/", "io.github.containers.zstd-chunked.")
"""Annotations of a layer that tell of its compressed bytes, and are wrong of others."""


def parse(compression: str) -> Compression | None:
    """What a request calls a compression; None leaves layers as they are.

    Raises:
        InvalidArgument: there is no such compression.
    """
    if not compression:
        return None
    try:
        return Compression(compression)
    except ValueError:
        raise InvalidArgument(
            f"compression '{compression[:64]}' is unknown; gzip, zstd and none are there",
            details={"field": "compression"},
        ) from None


def media_type(now: str, *, compression: Compression | None, as_oci: bool) -> str:
    """The media type that a layer of this one gets; the same one when its bytes stay.

    Raises:
        Unimplemented: it is to be compressed anew and is no tar.
    """
    if compression is not None:
        form = _FORMS.get(now)
        if form is None:
            raise Unimplemented(
                f"layers of media type '{now[:128]}' cannot be compressed anew; plain, gzip and zstd tars can",
                details={"media_type": now[:128]},
            )
        kind, is_oci = form
        if kind is not compression:
            now = (_OCI_LAYERS if is_oci else _DOCKER_LAYERS)[compression]
    return _AS_OCI.get(now, now) if as_oci else now


def is_kept(now: str, compression: Compression | None) -> bool:
    """Whether a layer of this media type keeps its bytes."""
    form = _FORMS.get(now)
    return compression is None or (form is not None and form[0] is compression)


def manifest(data: bytes, *, layers: Mapping[str, Descriptor], as_oci: bool) -> bytes:
    """A manifest with other layers: by digest what each becomes; one that is not there stays."""
    document = _decoded(data)
    changed = dict(document)
    changed["layers"] = [_replaced(layer, layers.get(layer["digest"])) for layer in document.get("layers") or []]
    if as_oci:
        changed |= _own_type(document, oci.MEDIA_TYPE_MANIFEST)
        changed["config"] = _typed(document["config"])
        changed["layers"] = [_typed(layer) for layer in changed["layers"]]
    return _encoded(changed, document, data)


def index(data: bytes, *, children: Mapping[str, Descriptor], as_oci: bool) -> bytes:
    """An index of what its manifests become, by digest; one that is not there is left out."""
    document = _decoded(data)
    changed = dict(document)
    if as_oci:
        changed |= _own_type(document, oci.MEDIA_TYPE_INDEX)
    changed["manifests"] = []
    for entry in document.get("manifests") or []:
        new = children.get(entry["digest"])
        if new is None:
            continue
        made = {**entry, "mediaType": new.media_type, "digest": new.digest, "size": new.size}
        said_of = str((entry.get("annotations") or {}).get(ATTESTED, ""))
        if said_of in children:
            made["annotations"] = {**entry["annotations"], ATTESTED: children[said_of].digest}
        changed["manifests"].append(made)
    return _encoded(changed, document, data)


def _replaced(layer: dict[str, Any], new: Descriptor | None) -> dict[str, Any]:
    if new is None:
        return layer
    made = {**layer, "mediaType": new.media_type, "digest": new.digest, "size": new.size}
    if new.digest != layer["digest"] and layer.get("annotations"):
        kept = {key: value for key, value in layer["annotations"].items() if not key.startswith(_OF_THE_BYTES)}
        made.pop("annotations")
        made |= {"annotations": kept} if kept else {}
    return made


def _own_type(document: dict[str, Any], media_type: str) -> dict[str, Any]:
    """The type that a document says of itself; one of OCI need not say it."""
    return {"mediaType": media_type} if document.get("mediaType") else {}


def _typed(descriptor: dict[str, Any]) -> dict[str, Any]:
    now = descriptor["mediaType"]
    return {**descriptor, "mediaType": _AS_OCI.get(now, now)}


def _decoded(data: bytes) -> dict[str, Any]:
    # It has been decoded as a manifest or an index before, so it is an object with the fields that are used here.
    document = json.loads(data)
    assert isinstance(document, dict), "checked by who chose it"
    return document


def _encoded(changed: dict[str, Any], before: dict[str, Any], data: bytes) -> bytes:
    if changed == before:
        return data
    return json.dumps(changed, ensure_ascii=False, separators=(",", ":")).encode()
