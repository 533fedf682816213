"""OCI layouts become plans."""

from __future__ import annotations

import json

import pytest

from actors.transfer.blobs import GC_CONFIG, GC_LAYER, GC_MANIFEST
from actors.transfer.plan import Plan
from tests.support.archives import MACHINE, Layout, digest, docker_archive, platform, tar
from tests.unit.actors.transfer.conftest import Planner
from wharfie.errors import InvalidArgument, NotFound
from wharfie.oci import descriptor as oci
from wharfie.oci.variants import ATTESTED

LAYER = tar({"a": b"1"})
OTHER = "arm64" if MACHINE != "arm64" else "amd64"


def names(plan: Plan) -> list[str]:
    return [image.name for image in plan.images]


def test_an_image_is_planned_with_its_blobs_before_what_refers_to_them(plan: Planner) -> None:
    layout = Layout()
    manifest = layout.image([LAYER, tar({"b": b"2"})])
    layout.entry(manifest, ref="busybox:1")
    data = layout.tar()
    found = plan(data)
    assert names(found) == ["busybox:1"]
    assert found.images[0].target.digest == manifest["digest"]
    assert [blob.digest for blob in found.blobs][-1] == manifest["digest"]
    assert len(found.blobs) == 4
    for blob in found.blobs:
        source = blob.source
        assert digest(data[source.offset : source.offset + source.length]) == blob.digest
    (rootfs,) = found.unpacks
    assert [layer.diff_id for layer in rootfs.layers] == [digest(LAYER), digest(tar({"b": b"2"}))]
    assert found.blobs[-1].labels == {
        GC_CONFIG: rootfs.config,
        f"{GC_LAYER}0": rootfs.layers[0].digest,
        f"{GC_LAYER}1": rootfs.layers[1].digest,
    }


def test_a_tag_counts_where_the_full_name_was_copied_from_another_image(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="1", name="host:5000/app:1")
    layout.entry(layout.image([tar({"b": b"2"})]), ref="2", name="host:5000/app:1")
    assert names(plan(layout.tar())) == ["host:5000/app:1", "host:5000/app:2"]


def test_images_are_named_by_their_digest_too_when_that_is_wanted(plan: Planner) -> None:
    layout = Layout()
    image = layout.image([LAYER])
    layout.entry(image, ref="host:5000/app:1")
    data = layout.tar()
    by_digest = f"host:5000/app@{image['digest']}"
    assert names(plan(data, digests=True)) == ["host:5000/app:1", by_digest]
    assert names(plan(data, digests=True, names=["b:1", "b:2"])) == ["b:1", f"b@{image['digest']}", "b:2"]
    saved = docker_archive({"a.tar": LAYER}, tags=["c:1", "c:2"])
    found = plan(saved, digests=True)
    assert names(found) == ["c:1", f"c@{found.images[0].target.digest}", "c:2"]


def test_what_attests_the_image_that_is_taken_is_content(plan: Planner) -> None:
    layout = Layout()
    here, other = layout.image([LAYER]), layout.image([tar({"b": b"2"})], architecture=OTHER)
    about = [
        {
            **platform(layout.image([tar({f"about-{image['digest']}": b"x"})]), "unknown/unknown"),
            "annotations": {ATTESTED: image["digest"]},
        }
        for image in (here, other)
    ]
    layout.entry(layout.index(*about, platform(other, f"linux/{OTHER}"), platform(here, f"linux/{MACHINE}")), ref="x:1")
    found = plan(layout.tar())
    taken = {blob.digest for blob in found.blobs}
    assert {here["digest"], about[0]["digest"]} <= taken
    assert not {other["digest"], about[1]["digest"]} & taken
    assert [rootfs.manifest for rootfs in found.unpacks] == [here["digest"]]


@pytest.mark.parametrize(
    ("ref", "name", "base_name", "expected"),
    [
        ("1.36", "", "docker.io/library/busybox", "docker.io/library/busybox:1.36"),
        ("1.36", "", "", "1.36"),
        ("example.org/a/b:2", "", "base", "example.org/a/b:2"),
        ("1.36", "full/name:3", "base", "full/name:3"),
        ("", "full/name:3", "", "full/name:3"),
        ("", "", "base", "base:latest"),
    ],
)
def test_names_come_from_the_annotations(plan: Planner, ref: str, name: str, base_name: str, expected: str) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref=ref, name=name)
    assert names(plan(layout.tar(), base_name=base_name)) == [expected]


def test_names_of_the_request_replace_those_of_the_archive(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="old")
    assert names(plan(layout.tar(), names=["new:1", "new:2", "new:1"])) == ["new:1", "new:2"]


def test_names_of_the_request_are_refused_for_several_images(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="one")
    layout.entry(layout.image([tar({"b": b"2"})]), ref="two")
    with pytest.raises(InvalidArgument, match="several images") as caught:
        plan(layout.tar(), names=["x"])
    assert caught.value.details["field"] == "names"


def test_an_archive_that_names_nothing_asks_for_a_name(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]))
    with pytest.raises(InvalidArgument, match="give a name"):
        plan(layout.tar())


def test_several_images_are_all_planned_and_share_their_layer(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="one")
    layout.entry(layout.image([LAYER, tar({"b": b"2"})]), ref="two")
    found = plan(layout.tar())
    assert names(found) == ["one", "two"]
    assert len(found.unpacks) == 2
    assert len({blob.digest for blob in found.blobs}) == len(found.blobs) == 6


def test_of_an_index_this_platform_is_taken_and_others_may_be_missing(plan: Planner) -> None:
    layout = Layout()
    ours, theirs = layout.image([LAYER]), layout.image([tar({"x": b"3"})], architecture=OTHER)
    index = layout.index(platform(theirs, f"linux/{OTHER}"), platform(ours, f"linux/{MACHINE}"))
    layout.entry(index, ref="multi")
    layout.drop(theirs)
    for all_platforms in (False, True):
        found = plan(layout.tar(), all_platforms=all_platforms)
        assert found.images[0].target.digest == index["digest"]
        assert [rootfs.manifest for rootfs in found.unpacks] == [ours["digest"]]
        # By its place in the index: another import may take the other one, too.
        assert found.blobs[-1].labels == {f"{GC_MANIFEST}1": ours["digest"]}
        assert theirs["digest"] not in {blob.digest for blob in found.blobs}


def test_all_platforms_takes_every_whole_one_and_unpacks_only_ours(plan: Planner) -> None:
    layout = Layout()
    ours, theirs = layout.image([LAYER]), layout.image([tar({"x": b"3"})], architecture=OTHER)
    layout.entry(layout.index(platform(theirs, f"linux/{OTHER}"), platform(ours, f"linux/{MACHINE}")), ref="multi")
    found = plan(layout.tar(), all_platforms=True)
    assert {theirs["digest"], ours["digest"]} <= {blob.digest for blob in found.blobs}
    assert [rootfs.manifest for rootfs in found.unpacks] == [ours["digest"]]


def test_a_platform_is_read_from_the_configuration_when_the_descriptor_is_silent(plan: Planner) -> None:
    layout = Layout()
    ours, theirs = layout.image([LAYER]), layout.image([tar({"x": b"3"})], architecture=OTHER)
    layout.entry(layout.index(theirs, ours), ref="multi")
    assert [rootfs.manifest for rootfs in plan(layout.tar()).unpacks] == [ours["digest"]]


def test_another_platform_is_taken_when_it_is_asked_for(plan: Planner) -> None:
    layout = Layout()
    ours, theirs = layout.image([LAYER]), layout.image([tar({"x": b"3"})], architecture=OTHER)
    layout.entry(layout.index(platform(theirs, f"linux/{OTHER}"), platform(ours, f"linux/{MACHINE}")), ref="multi")
    found = plan(layout.tar(), platform=f"linux/{OTHER}")
    assert [rootfs.manifest for rootfs in found.unpacks] == [theirs["digest"]]


def test_an_index_without_this_platform_says_which_there_are(plan: Planner) -> None:
    layout = Layout()
    theirs = layout.image([LAYER], architecture=OTHER)
    layout.entry(layout.index(platform(theirs, f"linux/{OTHER}")), ref="multi")
    with pytest.raises(NotFound, match=f"linux/{OTHER}") as caught:
        plan(layout.tar())
    assert caught.value.details["field"] == "platform"


def test_a_single_manifest_of_another_platform_is_refused(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER], architecture=OTHER), ref="x")
    with pytest.raises(NotFound, match=OTHER):
        plan(layout.tar())
    assert plan(layout.tar(), all_platforms=True).unpacks == []


def test_the_same_name_twice_means_the_one_for_this_platform(plan: Planner) -> None:
    layout = Layout()
    ours, theirs = layout.image([LAYER]), layout.image([tar({"x": b"3"})], architecture=OTHER)
    layout.entry(platform(ours, f"linux/{MACHINE}"), ref="x")
    layout.entry(platform(theirs, f"linux/{OTHER}"), ref="x")
    (image,) = plan(layout.tar()).images
    assert image.target.digest == ours["digest"]


def test_nested_indexes_are_followed_and_endless_ones_refused(plan: Planner) -> None:
    for depth, refused in ((8, False), (9, True)):
        layout = Layout()
        current = layout.image([LAYER])
        ours = current["digest"]
        for _ in range(depth):
            current = layout.index(current)
        layout.entry(current, ref="deep")
        if refused:
            with pytest.raises(InvalidArgument, match="deeper than 8"):
                plan(layout.tar())
        else:
            assert [rootfs.manifest for rootfs in plan(layout.tar()).unpacks] == [ours]


def test_a_layout_is_preferred_to_a_docker_archive_in_the_same_tar(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="oci:1")
    layout.files["manifest.json"] = b"[]"
    assert names(plan(layout.tar())) == ["oci:1"]


def test_an_artifact_without_an_image_configuration_is_taken_but_not_unpacked(plan: Planner) -> None:
    layout = Layout()
    empty = layout.blob(b"{}", "application/vnd.oci.empty.v1+json")
    chart = layout.blob(b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    manifest = layout.document(
        {"schemaVersion": 2, "mediaType": oci.MEDIA_TYPE_MANIFEST, "config": empty, "layers": [chart]},
        oci.MEDIA_TYPE_MANIFEST,
    )
    layout.entry(manifest, ref="chart")
    found = plan(layout.tar())
    assert found.unpacks == []
    assert len(found.blobs) == 3


# --- hostile and broken ---------------------------------------------------------------------------------------


def test_a_manifest_that_is_also_an_index_is_refused(plan: Planner) -> None:
    layout = Layout()
    manifest = json.loads(layout.files[_path(layout.image([LAYER]))] or b"")
    layout.entry(layout.document({**manifest, "manifests": []}, oci.MEDIA_TYPE_MANIFEST), ref="x")
    with pytest.raises(InvalidArgument, match="ambiguous"):
        plan(layout.tar())


def test_schema_1_is_refused(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.blob(b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"), ref="x")
    with pytest.raises(InvalidArgument, match="schema 1"):
        plan(layout.tar())


def test_a_missing_layer_is_named(plan: Planner) -> None:
    layout = Layout()
    manifest = layout.image([LAYER])
    layer = json.loads(layout.files[_path(manifest)] or b"")["layers"][0]
    layout.drop(layer)
    layout.entry(manifest, ref="x")
    with pytest.raises(InvalidArgument, match=layer["digest"]):
        plan(layout.tar())


def test_a_document_with_other_bytes_than_its_digest_is_refused(plan: Planner) -> None:
    layout = Layout()
    manifest = layout.image([LAYER])
    path = _path(manifest)
    content = layout.files[path]
    assert isinstance(content, bytes)
    layout.files[path] = content.replace(b"layers", b"Layers")
    layout.entry(manifest, ref="x")
    with pytest.raises(InvalidArgument, match="other bytes"):
        plan(layout.tar())


def test_a_size_that_differs_from_the_descriptor_is_refused(plan: Planner) -> None:
    layout = Layout()
    manifest = layout.image([LAYER])
    layout.entry({**manifest, "size": manifest["size"] + 1}, ref="x")
    with pytest.raises(InvalidArgument, match="descriptor says"):
        plan(layout.tar())


@pytest.mark.parametrize("bad", ["sha256:abc", "../../etc/passwd", "sha256:" + "G" * 64, "md5:" + "0" * 32, ""])
def test_a_digest_that_is_none_is_refused_before_it_becomes_a_path(plan: Planner, bad: str) -> None:
    layout = Layout()
    layout.entry({"mediaType": oci.MEDIA_TYPE_MANIFEST, "digest": bad, "size": 1}, ref="x")
    with pytest.raises(InvalidArgument):
        plan(layout.tar())


def test_diff_ids_have_to_match_the_layers_in_number(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER], diff_ids=[digest(LAYER), digest(LAYER)]), ref="x")
    with pytest.raises(InvalidArgument, match="1 layers, its configuration has 2 diff ids"):
        plan(layout.tar())


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"\xff\xfe", b'{"manifests": 3}', b"[" * 100_000])
def test_a_broken_index_is_an_error_of_its_own(plan: Planner, document: bytes) -> None:
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": document}
    with pytest.raises(InvalidArgument):
        plan(tar(files))


def test_an_unknown_layout_version_is_refused(plan: Planner) -> None:
    layout = Layout()
    layout.entry(layout.image([LAYER]), ref="x")
    layout.files["oci-layout"] = b'{"imageLayoutVersion":"2.0"}'
    with pytest.raises(InvalidArgument, match=r"version is '2.0'"):
        plan(layout.tar())


def test_an_archive_that_is_no_image_is_refused(plan: Planner) -> None:
    with pytest.raises(InvalidArgument, match="neither"):
        plan(tar({"etc/passwd": b""}))
    with pytest.raises(InvalidArgument, match=r"older than version 1\.1"):
        plan(tar({"repositories": b"{}"}))


def test_a_docker_archive_is_still_read_when_only_half_a_layout_is_there(plan: Planner) -> None:
    found = plan(docker_archive({"a/layer.tar": LAYER}, tags=["x:1"]))
    assert names(found) == ["x:1"]


def _path(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"
