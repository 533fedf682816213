"""The documents of an image that is another image with one more layer. Pure, and the same bytes each time.

What the base's configuration says beyond the fields that change is kept, known here or not. The manifest is OCI's,
whatever the base's was: the layers' bytes are the same, only their media types are OCI's names.
"""

from __future__ import annotations

import datetime as dt
import json
import platform as host
from collections.abc import Sequence
from typing import Any

import msgspec

from actors.transfer import instructions
from wharfie.errors import InvalidArgument
from wharfie.oci import descriptor as oci
from wharfie.oci.manifest import Manifest
from wharfie.oci.platforms import normalized

_AS_OCI = {
    oci.MEDIA_TYPE_DOCKER_LAYER: oci.MEDIA_TYPE_LAYER,
    oci.MEDIA_TYPE_DOCKER_LAYER_GZIP: oci.MEDIA_TYPE_LAYER_GZIP,
    oci.MEDIA_TYPE_DOCKER_LAYER_ZSTD: oci.MEDIA_TYPE_LAYER_ZSTD,
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to the base.

    Attributes:
        layer: the new layer's blob.
        diff_id: digest of the tar in it.
        created_at_ns: for the configuration and its history.
        created_by: the command that made the layer, for people.
        changes: instructions for the configuration.
    """

    layer: oci.Descriptor
    diff_id: str
    created_at_ns: int
    created_by: str = ""
    author: str = ""
    message: str = ""
    changes: Sequence[str] = ()


def config(base: bytes | None, step: Step) -> bytes:
    """The new configuration; without a base one for this machine.

    Raises:
        InvalidArgument: the base is malformed, or an instruction, or the time is none.
    """
    document = _empty() if base is None else _decoded(base)
    created = rfc3339(step.created_at_ns)
    document["created"] = created
    if step.author:
        document["author"] = step.author
    settings = dict(document.get("config") or {})
    for change in step.changes:
        instructions.apply(settings, change)
    document["config"] = settings
    rootfs = dict(document.get("rootfs") or {})
    before = list(rootfs.get("diff_ids") or [])
    document["rootfs"] = {**rootfs, "type": "layers", "diff_ids": [*before, step.diff_id]}
    entry = {
        "created": created,
        "created_by": step.created_by,
        **({"author": step.author} if step.author else {}),
        **({"comment": step.message} if step.message else {}),
    }
    document["history"] = [*_history(document, layers=len(before)), entry]
    return _encoded(document)


def manifest(base: Manifest | None, *, config: oci.Descriptor, layer: oci.Descriptor) -> bytes:
    """The new manifest: the layers of the base and the new one."""
    layers = [*(base.layers if base is not None else ()), layer]
    document = {
        "schemaVersion": 2,
        "mediaType": oci.MEDIA_TYPE_MANIFEST,
        "config": msgspec.to_builtins(config),
        "layers": [
            {**msgspec.to_builtins(one), "mediaType": _AS_OCI.get(one.media_type, one.media_type)} for one in layers
        ],
    }
    return _encoded(document)


def rfc3339(time_ns: int) -> str:
    """A time as image configurations have it: UTC, nanoseconds only where there are some.

    Raises:
        InvalidArgument: it is after the year 9999.
    """
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    try:
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        raise InvalidArgument(
            f"{seconds} seconds after 1970 is no time that an image can have; the year 9999 is the last",
            details={"field": "source_date_epoch"},
        ) from None
    return moment + (f".{nanoseconds:09d}".rstrip("0") if nanoseconds else "") + "Z"


def _empty() -> dict[str, Any]:
    here = normalized("linux", host.machine(), "")
    document = {"architecture": here.architecture, "os": here.os}
    return {**document, **({"variant": here.variant} if here.variant else {})}


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"image configuration is malformed: {error}") from None
    shapes: dict[str, type] = {"config": dict, "rootfs": dict, "history": list}
    if not isinstance(document, dict):
        raise InvalidArgument("image configuration is malformed: it is no object")
    for key, shape in shapes.items():
        if document.get(key) is not None and not isinstance(document[key], shape):
            raise InvalidArgument(f"image configuration is malformed: '{key}' is of another type")
    return document


def _history(document: dict[str, Any], *, layers: int) -> list[Any]:
    """The base's history, with as many entries for layers as there are layers: readers count them."""
    history = list(document.get("history") or [])
    told = sum(1 for entry in history if not (isinstance(entry, dict) and entry.get("empty_layer")))
    return [*history, *({} for _ in range(layers - told))]


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
