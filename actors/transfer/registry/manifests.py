"""Manifests of a repository: found by tag or digest, read whole and verified, put."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.transfer.registry import digest as digests
from actors.transfer.registry import scopes
from actors.transfer.registry.answer import Answer
from actors.transfer.registry.endpoint import Ask, Endpoint
from actors.transfer.registry.route import ask_in_order
from wharfie import errors
from wharfie.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from wharfie.reference import Reference

MANIFEST_BYTES_MAX = 4 << 20
"""The least that registries have to take, and so the most that is sent (distribution specification 1.1)."""

ACCEPT = ", ".join([*sorted(MANIFEST_TYPES), *sorted(INDEX_TYPES), "*/*;q=0.5"])
_SCHEMA_1 = ("application/vnd.docker.distribution.manifest.v1", "application/vnd.docker.container.image.v1+prettyjws")
_UNTOLD = frozenset({"", "application/json", "application/octet-stream", "text/plain", "text/html"})
"""Types that say nothing of a manifest."""

_HEAD_REFUSED = frozenset({400, 403, 405})


class _Shape(msgspec.Struct):
    schema_version: int = msgspec.field(default=2, name="schemaVersion")
    media_type: str | None = msgspec.field(default=None, name="mediaType")
    manifests: msgspec.Raw = msgspec.Raw()


def resolve(endpoints: Sequence[Endpoint], ref: Reference) -> Descriptor:
    """What a reference means now: asked by HEAD, and by GET where the answer to that is not enough.

    Raises:
        NotFound: no host has it.
        InvalidArgument: it is of schema 1, or larger than 4 MiB.
        DataLoss: the registry answers with another digest than the reference's.
    """
    what = described(ref, ref.object)
    found = ask_in_order(
        endpoints, lambda endpoint: _question(endpoint, "HEAD", ref, ref.object, what=what, also=_HEAD_REFUSED)
    )
    with found.answer as answer:
        media_type, digest, size = _type(answer), _digest(answer), answer.length
        refused = answer.status != 200
    _refuse_schema_1(media_type, what, answer.host)
    if refused or not digest or not size or media_type in _UNTOLD:
        return _resolve_by_body([found.endpoint] if not refused else endpoints, ref, what)
    _check_size(size, what, answer.host)
    if ref.digest:
        digests.check_told(digest, ref.digest, what=what, host=answer.host)
    return Descriptor(media_type=media_type, digest=ref.digest or digest, size=size)


def read(endpoints: Sequence[Endpoint], ref: Reference, descriptor: Descriptor) -> bytes:
    """A manifest's bytes, which have the descriptor's digest.

    Raises:
        NotFound: no host has it, neither as a manifest nor as a blob.
        DataLoss: the bytes have another digest or size.
        InvalidArgument: it is larger than 4 MiB.
    """
    what = described(ref, descriptor.digest)
    _check_size(descriptor.size, what, ref.host)
    try:
        found = ask_in_order(
            endpoints,
            lambda endpoint: _question(
                endpoint, "GET", ref, descriptor.digest, what=what, accept=f"{descriptor.media_type}, */*;q=0.5"
            ),
        )
    except errors.NotFound:
        # Where a registry keeps what it does not know to be a manifest.
        found = ask_in_order(
            endpoints,
            lambda endpoint: Ask(
                method="GET",
                url=endpoint.host.address(f"{ref.repository}/blobs/{descriptor.digest}"),
                what=what,
                scopes=scopes.pull(ref),
            ),
        )
    data = found.answer.body(MANIFEST_BYTES_MAX, what=what)
    digests.check(data, descriptor.digest, what=what, host=found.answer.host)
    if descriptor.size > 0 and len(data) != descriptor.size:
        raise errors.DataLoss(
            f"{what} from registry '{found.answer.host}' has {len(data)} bytes, its descriptor says {descriptor.size}",
            details={"reason": "registry_size", "host": found.answer.host},
        )
    return data


def exists(endpoints: Sequence[Endpoint], ref: Reference, descriptor: Descriptor) -> bool:
    """Whether the repository has this manifest: below the reference's tag if it has one, else at all."""
    name = ref.tag or descriptor.digest
    what = described(ref, name)
    try:
        found = ask_in_order(endpoints, lambda endpoint: _question(endpoint, "HEAD", ref, name, what=what))
    except errors.NotFound:
        return False
    with found.answer as answer:
        return _digest(answer) == descriptor.digest


def put(endpoint: Endpoint, ref: Reference, descriptor: Descriptor, data: bytes) -> bool:
    """Put a manifest below the reference's tag, or its digest. Idempotent.

    Returns:
        Whether the registry took note of the manifest's subject (`OCI-Subject`).

    Raises:
        InvalidArgument: the registry refuses it: something that it names is not there, or it is malformed.
        DataLoss: the registry stored something else.
    """
    name = ref.tag or descriptor.digest
    what = described(ref, name)
    ask = Ask(
        method="PUT",
        url=endpoint.host.address(f"{ref.repository}/manifests/{name}"),
        what=what,
        scopes=scopes.push(ref),
        expect=frozenset({201, 200, 202}),
        headers={"Content-Type": descriptor.media_type},
        body=lambda: data,
    )
    with endpoint.call(ask) as answer:
        digests.check_told(_digest(answer), descriptor.digest, what=what, host=answer.host)
        return "OCI-Subject" in answer.headers


def described(ref: Reference, name: str) -> str:
    """A manifest, for sentences."""
    return f"manifest '{name}' of '{ref.repository}'"


def _resolve_by_body(endpoints: Sequence[Endpoint], ref: Reference, what: str) -> Descriptor:
    found = ask_in_order(endpoints, lambda endpoint: _question(endpoint, "GET", ref, ref.object, what=what))
    media_type, told, host = _type(found.answer), _digest(found.answer), found.answer.host
    _refuse_schema_1(media_type, what, host)
    data = found.answer.body(MANIFEST_BYTES_MAX, what=what)
    shape = _shape(data, what, host)
    if media_type in _UNTOLD:
        media_type = shape.media_type or _guess(shape)
    if shape.schema_version == 1:
        media_type = _SCHEMA_1[0]
    _refuse_schema_1(media_type, what, host)
    for digest in (told, ref.digest):
        if digest:
            digests.check(data, digest, what=what, host=host)
    return Descriptor(media_type=media_type, digest=ref.digest or told or digests.digest_of(data), size=len(data))


def _question(
    endpoint: Endpoint,
    method: str,
    ref: Reference,
    name: str,
    *,
    what: str,
    accept: str = ACCEPT,
    also: frozenset[int] = frozenset(),
) -> Ask:
    return Ask(
        method=method,
        url=endpoint.host.address(f"{ref.repository}/manifests/{name}"),
        what=what,
        scopes=scopes.pull(ref),
        expect=frozenset({200}) | also,
        headers={"Accept": accept},
    )


def _type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _digest(answer: Answer) -> str:
    return digests.valid_or_empty(answer.headers.get("Docker-Content-Digest"))


def _shape(data: bytes, what: str, host: str) -> _Shape:
    try:
        return msgspec.json.decode(data, type=_Shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.InvalidArgument(
            f"{what} from registry '{host}' is no manifest: {error}",
            details={"reason": "registry_protocol", "host": host},
        ) from error


def _guess(shape: _Shape) -> str:
    """An OCI document may leave its type out."""
    has_manifests = bytes(shape.manifests) not in {b"", b"null"}
    kinds = INDEX_TYPES if has_manifests else MANIFEST_TYPES
    return next(kind for kind in kinds if kind.startswith("application/vnd.oci."))


def _check_size(size: int, what: str, host: str) -> None:
    if size > MANIFEST_BYTES_MAX:
        raise errors.InvalidArgument(
            f"{what} from registry '{host}' has {size} bytes, more than the {MANIFEST_BYTES_MAX} of a manifest",
            details={"reason": "registry_too_large", "host": host},
        )


def _refuse_schema_1(media_type: str, what: str, host: str) -> None:
    if media_type.startswith(_SCHEMA_1):
        raise errors.InvalidArgument(
            f"{what} in registry '{host}' is of schema 1, a format without digests of its layers that is given up "
            "everywhere; push the image again with a current tool",
            details={"reason": "schema_1", "host": host},
        )
