"""Which manifests of an index are taken. Pure.

An index may name manifests for platforms, other indexes, attestations (platform `unknown/unknown`) and what nobody
says a platform of. For one platform they are tried in this order: those that fit, the best first; then those that do
not say.
"""

from __future__ import annotations

from collections.abc import Sequence

from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.identifiers import check_digest, check_media_type
from wharfie.oci import platforms
from wharfie.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Platform
from wharfie.oci.image_config import ImageConfig

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""The distribution specification's limit, which every registry keeps."""

_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_UNKNOWN = "unknown"


def candidates(descriptors: Sequence[Descriptor], wanted: Platform) -> list[Descriptor]:
    """The manifests and indexes to try for a platform, the best first; the first of equals."""
    ranked: list[tuple[int, int]] = []
    for number, descriptor in enumerate(descriptors):
        if (grade := platforms.rank(descriptor.platform, wanted)) >= 0:
            ranked.append((grade, number))
    return [descriptors[number] for _, number in sorted(ranked)]


def is_attestation(descriptor: Descriptor) -> bool:
    """Whether a manifest of an index says something about another one and is none that runs."""
    platform = descriptor.platform
    return platform is not None and (platform.os, platform.architecture) == (_UNKNOWN, _UNKNOWN)


def offered(descriptors: Sequence[Descriptor]) -> str:
    """The platforms of an index, for people."""
    names = [
        platforms.shown(descriptor.platform)
        for descriptor in descriptors
        if descriptor.platform is not None and not is_attestation(descriptor)
    ]
    return ", ".join(names[:10]) or "none that says"


def platform_of(config: ImageConfig) -> Platform | None:
    """What a configuration is for; None when it does not say."""
    if not config.os or not config.architecture:
        return None
    return platforms.normalized(config.os, config.architecture, config.variant or "")


def check_target(descriptor: Descriptor, *, name: str) -> None:
    """Pass when a reference stands for something that can be pulled.

    Raises:
        InvalidArgument: as for `check_child`.
        FailedPrecondition: neither a manifest nor an index.
    """
    check_child(descriptor)
    if descriptor.media_type not in MANIFEST_TYPES | INDEX_TYPES:
        raise FailedPrecondition(
            f"'{name}' is no image: its media type is '{descriptor.media_type[:128]}'",
            details={"media_type": descriptor.media_type[:128]},
        )


def check_child(descriptor: Descriptor) -> None:
    """Pass when a descriptor can be worked with.

    Raises:
        InvalidArgument: its digest, size or media type is none, or it is of schema 1.
    """
    check_digest(descriptor.digest)
    if descriptor.media_type in _SCHEMA_1:
        raise InvalidArgument(
            f"manifest '{descriptor.digest}' has schema 1, which is not supported; push the image again with a tool of"
            " this decade",
            details={"reason": "schema_1", "media_type": descriptor.media_type},
        )
    check_media_type(descriptor.media_type, field="mediaType")
    if descriptor.size < 0:
        raise InvalidArgument(f"descriptor of '{descriptor.digest}' has a negative size")


def check_manifest_size(descriptor: Descriptor) -> None:
    """Pass when a manifest is not too large to be one. Raises: InvalidArgument."""
    if descriptor.size > MAX_MANIFEST_BYTES:
        raise InvalidArgument(
            f"manifest '{descriptor.digest}' has {descriptor.size} bytes, more than {MAX_MANIFEST_BYTES}",
            details={"reason": "manifest_size"},
        )
