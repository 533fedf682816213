from __future__ import annotations

import pytest

from actors.transfer import selection
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.oci.descriptor import Descriptor
from wharfie.oci.image_config import ImageConfig


def descriptor(platform: str = "", *, media_type: str = oci.MEDIA_TYPE_MANIFEST, size: int = 1) -> Descriptor:
    return Descriptor(
        media_type=media_type,
        digest=f"sha256:{'0' * 64}",
        size=size,
        platform=platforms.parse(platform) if platform else None,
    )


@pytest.mark.parametrize(
    ("wanted", "offered", "order"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], [1]),
        ("linux/amd64", ["", "linux/amd64"], [1, 0]),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], [0, 1]),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm/v8"], [2, 1, 0]),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], [1, 0]),
        ("linux/arm64", ["unknown/unknown"], []),
        ("linux/arm64", [], []),
    ],
)
def test_what_is_tried_for_a_platform_and_in_which_order(wanted: str, offered: list[str], order: list[int]) -> None:
    manifests = [descriptor(platform) for platform in offered]
    found = selection.candidates(manifests, platforms.parse(wanted))
    assert [next(n for n, one in enumerate(manifests) if one is each) for each in found] == order


def test_attestations_are_not_offered() -> None:
    manifests = [descriptor("linux/amd64"), descriptor("unknown/unknown"), descriptor()]
    assert [selection.is_attestation(one) for one in manifests] == [False, True, False]
    assert selection.offered(manifests) == "linux/amd64"
    assert selection.offered(manifests[1:]) == "none that says"


@pytest.mark.parametrize("kind", ["v1+json", "v1+prettyjws"])
def test_schema_1_is_refused(kind: str) -> None:
    old = descriptor(media_type=f"application/vnd.docker.distribution.manifest.{kind}")
    with pytest.raises(InvalidArgument, match="schema 1"):
        selection.check_target(old, name="x")
    with pytest.raises(InvalidArgument, match="schema 1") as caught:
        selection.check_child(old)
    assert caught.value.details["reason"] == "schema_1"


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="'x' is no image"):
        selection.check_target(descriptor(media_type="text/plain"), name="x")
    with pytest.raises(InvalidArgument, match="negative"):
        selection.check_child(descriptor(size=-1))
    with pytest.raises(InvalidArgument):
        selection.check_child(Descriptor(media_type="a/b", digest="sha256:0", size=1))


def test_a_manifest_may_have_4_mib() -> None:
    selection.check_manifest_size(descriptor(size=4 << 20))
    with pytest.raises(InvalidArgument, match="4194304"):
        selection.check_manifest_size(descriptor(size=(4 << 20) + 1))


def test_the_platform_of_a_configuration() -> None:
    assert selection.platform_of(ImageConfig(os="linux", architecture="x86_64")) == platforms.parse("linux/amd64")
    assert selection.platform_of(ImageConfig(os="linux")) is None
