"""Which variants an image has, and how much of each is here."""

from __future__ import annotations

import pytest

from wharfie.oci import platforms
from wharfie.oci.descriptor import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, MEDIA_TYPE_MANIFEST, Descriptor, Platform
from wharfie.oci.image_config import ImageConfig, RootFs
from wharfie.oci.manifest import Manifest
from wharfie.oci.variants import ATTESTED, Status, Variant, best, present, unavailable, unreadable, variant

HERE = platforms.shown(platforms.host())


def descriptor(letter: str, size: int = 10, *, media_type: str = MEDIA_TYPE_LAYER, said: str = "") -> Descriptor:
    platform = None
    if said:
        system, architecture = said.split("/")
        platform = Platform(os=system, architecture=architecture)
    return Descriptor(media_type=media_type, digest=f"sha256:{letter * 64}", size=size, platform=platform)


MANIFEST = Manifest(config=descriptor("c", 5, media_type=MEDIA_TYPE_CONFIG), layers=(descriptor("1"), descriptor("2")))
CONFIG = ImageConfig(os="linux", architecture="arm64", rootfs=RootFs(diff_ids=("sha256:" + "7" * 64,)))


def here(*letters: str) -> dict[str, int]:
    return {f"sha256:{letter * 64}": 1 for letter in letters}


@pytest.mark.parametrize(
    ("letters", "status", "present"),
    [("mc12", Status.COMPLETE, 35), ("mc1", Status.INCOMPLETE, 25), ("m", Status.INCOMPLETE, 10)],
)
def test_a_variant_is_complete_when_all_it_names_is_here(letters: str, status: Status, present: int) -> None:
    found = variant(descriptor("m", media_type=MEDIA_TYPE_MANIFEST), MANIFEST, CONFIG, here=here(*letters))
    assert (found.status, found.present_bytes, found.total_bytes) == (status, present, 35)
    assert (found.platform, found.is_image) == ("linux/arm64", True)
    assert found.chain_ids == ["sha256:" + "7" * 64]


def test_a_layer_twice_is_counted_once() -> None:
    manifest = Manifest(config=MANIFEST.config, layers=(descriptor("1"), descriptor("1")))
    found = variant(descriptor("m"), manifest, CONFIG, here=here("m", "c", "1"))
    assert found.total_bytes == found.present_bytes == 25
    assert sum(present([found, found], [descriptor("i", 3)]).values()) == 28


def test_the_descriptor_says_the_platform_before_the_configuration() -> None:
    found = variant(descriptor("m", said="linux/s390x"), MANIFEST, CONFIG, here={})
    assert found.platform == "linux/s390x"


def test_what_is_not_here_is_unavailable() -> None:
    found = unavailable(descriptor("m", said="linux/s390x"))
    assert (found.status, found.platform, found.total_bytes) == (Status.UNAVAILABLE, "linux/s390x", 10)


def test_an_attestation_is_no_image() -> None:
    plain = descriptor("m", said="unknown/unknown")
    attestation = Descriptor(
        media_type=plain.media_type,
        digest=plain.digest,
        size=10,
        annotations={ATTESTED: "sha256:" + "0" * 64},
        platform=plain.platform,
    )
    assert not unavailable(attestation).is_image
    found = variant(attestation, MANIFEST, CONFIG, here=here(*"mc12"))
    assert (found.is_image, found.diff_ids) == (False, ())
    assert best([found]) is None


def of(platform: str, *, missing: bool = False) -> Variant:
    one = descriptor("m", said="")
    return Variant(platform=platform, manifest=one, required=(one,), missing=(one.digest,) if missing else ())


@pytest.mark.parametrize(
    ("platforms_", "wanted", "expected"),
    [
        (["linux/s390x", HERE], "", HERE),
        (["linux/s390x", ""], "", ""),
        (["linux/s390x"], "", "linux/s390x"),
        (["linux/s390x"], "linux/riscv64", None),
        (["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", "linux/arm/v7"),
        (["linux/arm/v6", "linux/arm/v5"], "linux/arm/v7", "linux/arm/v6"),
        ([], "", None),
    ],
)
def test_the_best_is_this_machines_or_what_there_is(platforms_: list[str], wanted: str, expected: str | None) -> None:
    found = best([of(platform) for platform in platforms_], platform=wanted)
    assert (found.platform if found is not None else None) == expected


def test_without_one_for_this_machine_the_first_that_is_here_is_shown() -> None:
    found = best([of("linux/s390x", missing=True), of("linux/riscv64")])
    assert found is not None
    assert found.platform == "linux/riscv64"


@pytest.mark.parametrize("platform", ["linux", "a/b/c/d", "/", "//"])
def test_a_platform_that_is_none_fits_nothing(platform: str) -> None:
    found = best([of(platform), of("linux/s390x")], platform="linux/s390x")
    assert found is not None
    assert found.platform == "linux/s390x"
    assert best([of(platform)], platform="linux/s390x") is None


def test_what_is_neither_manifest_nor_index_is_here_and_no_image() -> None:
    found = unreadable(descriptor("m"))
    assert (found.status, found.is_image) == (Status.COMPLETE, False)
