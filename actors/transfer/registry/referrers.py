"""Who refers to a manifest: signatures, attestations, documents; by the API, or by the tag that stands in for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from actors.transfer.registry import digest as digests
from actors.transfer.registry import manifests, scopes
from actors.transfer.registry.endpoint import Ask, Endpoint
from actors.transfer.registry.host import origin, target_of
from actors.transfer.registry.route import ask_in_order
from wharfie import errors
from wharfie.oci.descriptor import MEDIA_TYPE_INDEX, Descriptor
from wharfie.oci.manifest import Index, Manifest, decode_document, decode_index
from wharfie.reference import Reference

PAGES_MAX = 100


def fallback_tag(digest: str) -> str:
    """The tag below which a registry without the API keeps a manifest's referrers (distribution specification 1.1)."""
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm[:32]}-{digits[:64]}"


def find(endpoints: Sequence[Endpoint], ref: Reference, digest: str, artifact_type: str = "") -> list[Descriptor]:
    """The manifests whose subject is `digest`; none when nothing refers to it.

    Raises:
        InvalidArgument: the list is malformed.
    """
    try:
        found = _by_api(endpoints, ref, digest, artifact_type)
    except (errors.NotFound, errors.Unimplemented, errors.InvalidArgument):
        found = _by_tag(endpoints, ref, digest)
    return [entry for entry in found if not artifact_type or entry.artifact_type == artifact_type]


def record(endpoint: Endpoint, ref: Reference, descriptor: Descriptor, data: bytes) -> None:
    """Add a manifest to its subject's fallback tag, where the registry does not do so itself. Idempotent.

    Two that do this at the same moment may lose one entry: the specification offers no better.
    """
    subject = subject_of(data, descriptor)
    if subject is None:
        return
    tag = replace(ref, tag=fallback_tag(subject.digest), digest="")
    known = _by_tag([endpoint], ref, subject.digest)
    if any(entry.digest == descriptor.digest for entry in known):
        return
    document = decode_document(data)
    artifact_type = document.artifact_type
    if isinstance(document, Manifest):
        artifact_type = artifact_type or document.config.media_type
    entry = msgspec.structs.replace(descriptor, artifact_type=artifact_type, annotations=document.annotations)
    index = msgspec.json.encode(Index(media_type=MEDIA_TYPE_INDEX, manifests=(*known, entry)))
    # The structure leaves defaults out, and the version is a must.
    index = b'{"schemaVersion":2,' + index.lstrip(b"{")
    manifests.put(
        endpoint,
        tag,
        Descriptor(media_type=MEDIA_TYPE_INDEX, digest=digests.digest_of(index), size=len(index)),
        index,
    )


def subject_of(data: bytes, descriptor: Descriptor) -> Descriptor | None:
    """What a manifest refers to; None when nothing, or when it is no document that could."""
    if b'"subject"' not in data:
        return None
    try:
        return decode_document(data, media_type=descriptor.media_type).subject
    except errors.InvalidArgument:
        return None


def _by_api(endpoints: Sequence[Endpoint], ref: Reference, digest: str, artifact_type: str) -> list[Descriptor]:
    what = f"the referrers of '{digest}' in '{ref.repository}'"
    query = (("artifactType", artifact_type),) if artifact_type else ()

    def question(endpoint: Endpoint) -> Ask:
        url = endpoint.host.address(f"{ref.repository}/referrers/{digest}", query=query)
        return _ask(url, what, ref)

    answer, endpoint = ask_in_order(endpoints, question)
    found: list[Descriptor] = []
    for _ in range(PAGES_MAX):
        link = _next_page(answer.headers.get("Link", ""))
        url = target_of(answer.url, link) if link else ""
        data = answer.body(manifests.MANIFEST_BYTES_MAX, what=what)
        found += decode_index(data).manifests
        if not url or origin(url) != endpoint.host.origin:
            break
        answer = endpoint.call(_ask(url, what, ref))
    return found


def _ask(url: str, what: str, ref: Reference) -> Ask:
    return Ask(method="GET", url=url, what=what, scopes=scopes.pull(ref), headers={"Accept": MEDIA_TYPE_INDEX})


def _by_tag(endpoints: Sequence[Endpoint], ref: Reference, digest: str) -> list[Descriptor]:
    tag = replace(ref, tag=fallback_tag(digest), digest="")
    try:
        descriptor = manifests.resolve(endpoints, tag)
        data = manifests.read(endpoints, tag, descriptor)
    except errors.NotFound:
        return []
    return list(decode_index(data).manifests)


def _next_page(link: str) -> str:
    """The target of `<…>; rel="next"` (RFC 8288)."""
    for entry in link.split(","):
        target, _, parameters = entry.strip().partition(";")
        if 'rel="next"' in parameters.replace(" ", "") or "rel=next" in parameters:
            return target.strip().removeprefix("<").removesuffix(">")
    return ""
