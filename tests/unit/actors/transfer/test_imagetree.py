"""What is chosen of an image, and what is said when it is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from actors.transfer.imagetree import Choice, Chooser, Node, is_foreign
from tests.support.archives import MACHINE, Layout, platform, tar
from tests.support.blobsource import BlobSource, described
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.oci import platforms
from wharfie.oci.variants import ATTESTED

LAYER = tar({"a": b"1"})
HERE, OTHER, THIRD = f"linux/{MACHINE}", "linux/s390x", "linux/riscv64"


def choose(
    layout: Layout, target: Mapping[str, Any], *wanted: str, drop: Mapping[str, Any] | None = None, **choice: Any
) -> Node:
    source = BlobSource(layout)
    if drop is not None:
        del source.blobs[drop["digest"]]
    chooser = Chooser(source=source, choice=Choice(wanted=[platforms.parse(text) for text in wanted], **choice))
    return asyncio.run(chooser.tree(described(target), name="x:1"))


class Three:
    """An index with an image for this machine and for two others, each with an attestation."""

    def __init__(self) -> None:
        self.layout = Layout()
        self.images = {
            text: self.layout.image([tar({text: b"x"})], architecture=text.partition("/")[2])
            for text in (OTHER, HERE, THIRD)
        }
        self.attestations = {}
        children = []
        for text, image in self.images.items():
            children.append(platform(image, text))
            made = self.layout.image([tar({f"about-{text}": b"x"})], architecture="unknown")
            made = {**platform(made, "unknown/unknown"), "annotations": {ATTESTED: image["digest"]}}
            self.attestations[text] = made
        children += self.attestations.values()
        self.target = self.layout.index(*children)

    def digests(self, *names: str) -> list[str]:
        images = [self.images[name]["digest"] for name in names]
        return images + [self.attestations[name]["digest"] for name in names]


@pytest.fixture
def three() -> Three:
    return Three()


def digests(node: Node) -> list[str]:
    return [found.descriptor.digest for found in node.manifests()]


def test_this_machines_image_is_chosen_with_what_attests_it(three: Three) -> None:
    found = choose(three.layout, three.target)
    assert digests(found) == three.digests(HERE)
    assert [node.is_image for node in found.manifests()] == [True, False]


def test_platforms_are_chosen_by_name_in_the_order_of_the_index(three: Three) -> None:
    assert digests(choose(three.layout, three.target, THIRD, OTHER)) == three.digests(OTHER, THIRD)


def test_all_platforms_are_all_that_is_listed(three: Three) -> None:
    assert digests(choose(three.layout, three.target, all_platforms=True)) == three.digests(OTHER, HERE, THIRD)


def test_what_is_not_asked_for_may_be_missing(three: Three) -> None:
    for missing in (three.images[OTHER], three.attestations[OTHER]):
        assert digests(choose(three.layout, three.target, drop=missing)) == three.digests(HERE)


def test_an_attestation_that_is_not_here_is_left_out(three: Three) -> None:
    found = choose(three.layout, three.target, drop=three.attestations[HERE])
    assert digests(found) == three.digests(HERE)[:1]


@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
def test_what_is_missing_of_what_is_asked_for_is_named(three: Three, kind: str) -> None:
    node = choose(three.layout, three.target).manifests()[0]
    missing = {"manifest": node.descriptor, "config": node.blobs[0], "layer": node.blobs[1]}[kind]
    for wanted in ((HERE,), ()):
        with pytest.raises(
            NotFound, match=f"blob '{missing.digest}' of image 'x:1' is not in the content store"
        ) as info:
            choose(three.layout, three.target, *wanted, drop={"digest": missing.digest}, all_platforms=not wanted)
        assert info.value.details["digest"] == missing.digest


def test_what_is_missing_can_be_skipped_but_not_all_of_it(three: Three) -> None:
    missing = three.images[OTHER]
    found = choose(three.layout, three.target, drop=missing, all_platforms=True, skip_missing=True)
    assert three.images[OTHER]["digest"] not in digests(found)
    assert set(three.digests(HERE, THIRD)) <= set(digests(found))
    with pytest.raises(NotFound, match="has no manifest of which everything is here"):
        choose(three.layout, three.target, OTHER, drop=missing, skip_missing=True)


def test_a_platform_that_is_not_there_is_named_with_those_that_are(three: Three) -> None:
    with pytest.raises(NotFound, match=f"no manifest for platform 'linux/mips'; there are: .*{OTHER}") as info:
        choose(three.layout, three.target, "linux/mips")
    assert "unknown" not in info.value.message


def test_an_image_of_one_manifest_is_taken_whatever_it_is_for_unless_asked_otherwise() -> None:
    layout = Layout()
    target = layout.image([LAYER], architecture="s390x")
    assert digests(choose(layout, target)) == [target["digest"]]
    assert choose(layout, target, OTHER).platform == platforms.parse(OTHER)
    with pytest.raises(NotFound, match="there are: linux/s390x"):
        choose(layout, target, HERE)


def test_indexes_of_indexes_are_followed_and_not_for_ever() -> None:
    layout = Layout()
    image = layout.image([LAYER])
    target = layout.index(layout.index(platform(image, HERE)))
    assert digests(choose(layout, target)) == [image["digest"]]
    for _ in range(8):
        target = layout.index(target)
    with pytest.raises(InvalidArgument, match="nests indexes deeper than 8"):
        choose(layout, target)


def test_indexes_that_list_the_same_again_and_again_are_refused_in_little_time() -> None:
    layout = Layout()
    target = layout.index(*[platform(layout.image([LAYER]), HERE)] * 50)
    for _ in range(6):
        target = layout.index(*[target] * 50)
    with pytest.raises(InvalidArgument, match="lists more than 2000 manifests"):
        choose(layout, target, all_platforms=True)


def test_a_platform_that_only_the_configuration_says_is_found() -> None:
    layout = Layout()
    other, here = layout.image([LAYER], architecture="s390x"), layout.image([LAYER])
    assert digests(choose(layout, layout.index(other, here))) == [here["digest"]]


def test_a_blob_of_another_size_than_its_descriptor_says_is_refused() -> None:
    layout = Layout()
    target = layout.image([LAYER])
    with pytest.raises(FailedPrecondition, match="its descriptor in image 'x:1' says"):
        choose(layout, {**target, "size": target["size"] + 1})


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", True),
        ("application/vnd.oci.image.layer.v1.tar+gzip", False),
    ],
)
def test_layers_that_may_not_be_passed_on_are_known_by_their_type(media_type: str, expected: bool) -> None:
    assert is_foreign(media_type) is expected


def test_they_may_be_missing_when_they_are_skipped() -> None:
    layout = Layout()
    foreign = {
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "digest": "sha256:" + "0" * 64,
        "size": 3,
        "urls": ["https://example.org/x"],
    }
    config = layout.document({"os": "linux", "architecture": MACHINE}, "application/vnd.oci.image.config.v1+json")
    target = layout.document(
        {"schemaVersion": 2, "config": config, "layers": [foreign]}, "application/vnd.oci.image.manifest.v1+json"
    )
    with pytest.raises(NotFound, match="is not in the content store"):
        choose(layout, target)
    assert [blob.digest for blob in choose(layout, target, skip_foreign=True).blobs] == [config["digest"]]
