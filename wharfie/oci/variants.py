"""What an image is for each platform, and how much of it is here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.oci import platforms
from wharfie.oci.chains import chain_ids
from wharfie.oci.descriptor import CONFIG_TYPES, Descriptor, Platform
from wharfie.oci.image_config import ImageConfig
from wharfie.oci.manifest import Manifest

ATTESTED = "vnd.docker.reference.digest"
"""Annotation of a manifest that says something about another one of its index."""


class Status(StrEnum):
    """How much of a variant is in the content store."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """Its manifest is here, and some of what that names is not."""
    UNAVAILABLE = "unavailable"
    """Its manifest is not here."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest of an image.

    Attributes:
        platform: `os/arch[/variant]`; empty when nobody says.
        manifest: its descriptor.
        required: the blobs it needs, itself first, as far as they are known.
        missing: digests of those that are not here.
        diff_ids: of an image's layers, when its configuration is here.
        is_image: something can be run of it; else it is an attestation or another artifact.
    """

    platform: str = ""
    manifest: Descriptor
    required: tuple[Descriptor, ...]
    missing: tuple[str, ...] = ()
    diff_ids: tuple[str, ...] = ()
    is_image: bool = True

    @property
    def status(self) -> Status:
        """How much of it is here."""
        if self.manifest.digest in self.missing:
            return Status.UNAVAILABLE
        return Status.INCOMPLETE if self.missing else Status.COMPLETE

    @property
    def chain_ids(self) -> list[str]:
        """Names of the snapshots of its layers, the lowest first."""
        return chain_ids(self.diff_ids)

    @property
    def total_bytes(self) -> int:
        """Bytes of all blobs it needs, each once."""
        return sum({one.digest: one.size for one in self.required}.values())

    @property
    def present_bytes(self) -> int:
        """Bytes of those that are here."""
        return sum({one.digest: one.size for one in self.required if one.digest not in self.missing}.values())


def unreadable(descriptor: Descriptor) -> Variant:
    """What is here and is neither a manifest nor an index."""
    return Variant(platform=_said(descriptor), manifest=descriptor, required=(descriptor,), is_image=False)


def unavailable(descriptor: Descriptor) -> Variant:
    """A variant of which only its descriptor is known."""
    return Variant(
        platform=_said(descriptor),
        manifest=descriptor,
        required=(descriptor,),
        missing=(descriptor.digest,),
        is_image=ATTESTED not in (descriptor.annotations or {}),
    )


def variant(
    descriptor: Descriptor, manifest: Manifest, config: ImageConfig | None, *, here: Mapping[str, int]
) -> Variant:
    """A variant whose manifest is here.

    Args:
        descriptor: of the manifest.
        manifest: its content.
        config: None when it is not here, or no image's.
        here: size of each blob that is here, by digest.
    """
    required = (descriptor, manifest.config, *manifest.layers)
    is_image = manifest.config.media_type in CONFIG_TYPES and ATTESTED not in (descriptor.annotations or {})
    diff_ids = config.rootfs.diff_ids if is_image and config is not None and config.rootfs is not None else None
    return Variant(
        platform=_said(descriptor) or _configured(config),
        manifest=descriptor,
        required=required,
        missing=tuple(one.digest for one in required if one.digest not in here),
        diff_ids=diff_ids or (),
        is_image=is_image,
    )


def best(variants: Iterable[Variant], *, platform: str = "") -> Variant | None:
    """The variant that a run would take: for a platform (empty: this machine's) the one that fits best.

    Without a platform, and with nothing for this machine, the first that is all here: what there is to show.
    """
    images = [one for one in variants if one.is_image]
    wanted = platforms.parse(platform)
    ranked = []
    for number, one in enumerate(images):
        grade = _grade(one.platform, wanted)
        if grade >= 0:
            ranked.append((grade, number))
    if ranked:
        return images[min(ranked)[1]]
    if platform:
        return None
    return next((one for one in images if one.status is Status.COMPLETE), None)


def present(variants: Iterable[Variant], indexes: Iterable[Descriptor] = ()) -> dict[str, int]:
    """Digest and size of the blobs of an image that are here, those that several variants share told once."""
    found = {
        one.digest: one.size for variant in variants for one in variant.required if one.digest not in variant.missing
    }
    return found | {one.digest: one.size for one in indexes}


def _grade(platform: str, wanted: Platform) -> int:
    """As `platforms.rank`."""
    try:
        return platforms.rank(platforms.parse(platform) if platform else None, wanted)
    except InvalidArgument:
        return -1


def _said(descriptor: Descriptor) -> str:
    return platforms.shown(descriptor.platform) if descriptor.platform is not None else ""


def _configured(config: ImageConfig | None) -> str:
    if config is None or not config.os or not config.architecture:
        return ""
    return platforms.shown(platforms.normalized(config.os, config.architecture, config.variant or ""))
