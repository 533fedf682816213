"""Archives of `docker save` become plans."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.archives import digest, docker_archive, tar
from tests.unit.actors.transfer.conftest import Planner
from wharfie.errors import InvalidArgument, NotFound
from wharfie.oci import descriptor as oci

LAYER = tar({"a": b"1"})


def test_a_manifest_is_made_and_names_its_layers(plan: Planner) -> None:
    found = plan(docker_archive({"one/layer.tar": LAYER}, tags=["busybox:1"]))
    made = found.blobs[-1]
    assert made.source.data is not None
    assert digest(made.source.data) == made.digest == found.images[0].target.digest
    document = json.loads(made.source.data)
    assert document["schemaVersion"] == 2
    assert [layer["digest"] for layer in document["layers"]] == [digest(LAYER)]
    assert document["layers"][0]["mediaType"] == oci.MEDIA_TYPE_DOCKER_LAYER
    assert made.labels["containerd.io/gc.ref.content.config"] == document["config"]["digest"]


def test_the_same_archive_gives_the_same_manifest(plan: Planner) -> None:
    data = docker_archive({"one/layer.tar": LAYER}, tags=["busybox:1"])
    assert plan(data) == plan(data)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("localhost:5000/a/b:2", "localhost:5000/a/b:2"),
    ],
)
def test_a_name_without_a_tag_means_latest(plan: Planner, tag: str, name: str) -> None:
    (image,) = plan(docker_archive({"l.tar": LAYER}, tags=[tag])).images
    assert image.name == name


def test_several_tags_name_one_image(plan: Planner) -> None:
    found = plan(docker_archive({"l.tar": LAYER}, tags=["a:1", "b:2", "a:1"]))
    assert [image.name for image in found.images] == ["a:1", "b:2"]
    assert len(found.unpacks) == 1


def test_an_untagged_image_takes_the_name_that_is_given(plan: Planner) -> None:
    data = docker_archive({"l.tar": LAYER}, tags=None)
    with pytest.raises(InvalidArgument, match="give a name"):
        plan(data)
    assert [image.name for image in plan(data, names=["mine:1"]).images] == ["mine:1"]
    assert [image.name for image in plan(data, base_name="mine").images] == ["mine:latest"]


def test_a_layer_that_is_a_link_is_found(plan: Planner) -> None:
    upper = tar({"b": b"2"})
    layers: dict[str, bytes | str] = {"1/layer.tar": LAYER, "2/layer.tar": "../1/layer.tar", "3/layer.tar": upper}
    data = docker_archive(layers, tags=["x"], diff_ids=[digest(LAYER), digest(LAYER), digest(upper)])
    (rootfs,) = plan(data).unpacks
    assert [layer.digest for layer in rootfs.layers] == [digest(LAYER), digest(LAYER), digest(upper)]
    assert rootfs.layers[0].source == rootfs.layers[1].source


def test_links_in_a_circle_lead_nowhere(plan: Planner) -> None:
    layers: dict[str, bytes | str] = {"1/layer.tar": "../2/layer.tar", "2/layer.tar": "../1/layer.tar"}
    with pytest.raises(InvalidArgument, match="missing"):
        plan(docker_archive(layers, tags=["x"], diff_ids=[digest(LAYER), digest(LAYER)]))


def test_a_compressed_layer_has_a_digest_of_its_own(plan: Planner) -> None:
    packed = gzip.compress(LAYER, mtime=0)
    found = plan(docker_archive({"l.tar": packed}, tags=["x"], diff_ids=[digest(LAYER)]))
    (layer,) = found.unpacks[0].layers
    assert (layer.digest, layer.diff_id) == (digest(packed), digest(LAYER))
    assert layer.media_type == oci.MEDIA_TYPE_DOCKER_LAYER_GZIP


def test_a_missing_layer_or_configuration_is_named(plan: Planner) -> None:
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["x"], "Layers": ["l.tar"]}]).encode()
    with pytest.raises(InvalidArgument, match=r"c\.json"):
        plan(tar({"manifest.json": manifest}))
    config = json.dumps({"rootfs": {"diff_ids": [digest(LAYER)]}}).encode()
    with pytest.raises(InvalidArgument, match=r"l\.tar"):
        plan(tar({"manifest.json": manifest, "c.json": config}))


def test_another_platform_is_refused_unless_it_is_wanted(plan: Planner) -> None:
    data = docker_archive({"l.tar": LAYER}, tags=["x"], architecture="s390x")
    with pytest.raises(NotFound, match="linux/s390x"):
        plan(data)
    assert plan(data, platform="linux/s390x").unpacks
    assert plan(data, all_platforms=True).unpacks == []


@pytest.mark.parametrize("document", [b"", b"{}", b"[3]", b"[]", b'[{"Layers": []}]', b"[" * 50_000])
def test_a_broken_manifest_is_an_error_of_its_own(plan: Planner, document: bytes) -> None:
    with pytest.raises(InvalidArgument):
        plan(tar({"manifest.json": document}))


def test_a_path_that_leaves_the_archive_finds_nothing(plan: Planner) -> None:
    manifest = json.dumps([{"Config": "../../../etc/passwd", "RepoTags": ["x"], "Layers": []}]).encode()
    with pytest.raises(InvalidArgument, match="missing"):
        plan(tar({"manifest.json": manifest}))
