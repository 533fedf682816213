"""Images out of a daemon and into one: the same bytes, by stream and by file, whoever reads or wrote them."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import wharfie
from tests.support.archives import MACHINE, Layout, busybox_archive, digest, docker_archive, platform, tar
from tests.support.layoutdir import copied_by_skopeo, run, unpacked_by_umoci
from tests.system.transfer.conftest import Rig
from wharfie.oci import descriptor as oci
from wharfie.oci.variants import ATTESTED
from wharfie.types.base import Descriptor
from wharfie.types.export import Export, Exporting

HERE = f"linux/{MACHINE}"
TREE: dict[str, bytes | str | None] = {"etc": None, "etc/name": b"of the image", "link": "etc/name"}
UPPER: dict[str, bytes | str | None] = {"etc/more": b"more", "etc/.wh.gone": b""}


def two_layers(name: str) -> bytes:
    layout = Layout()
    layout.entry(layout.image([tar({**TREE, "etc/gone": b"x"}), tar(UPPER)]), ref=name)
    return layout.tar()


def exported(rig: Rig, names: str | list[str], **options: Any) -> bytes:
    buffer = io.BytesIO()
    rig.client.images.export(names, buffer, **options)
    return buffer.getvalue()


def blobs(data: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        return {
            info.name.removeprefix("blobs/").replace("/", ":")
            for info in file
            if info.isreg() and info.name.startswith("blobs/")
        }


def diff_ids(rig: Rig, name: str) -> list[str]:
    config = rig.client.images.config(name)
    assert config.rootfs is not None
    return list(config.rootfs.diff_ids or ())


def test_an_export_is_the_same_by_file_and_stream_and_comes_back_as_it_was(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(two_layers("x:1")))
    rig.client.images.import_(rig.archive(busybox_archive()))
    target = rig.client.images.get("x:1").target
    path = rig.directory / "out.tar"
    path.write_bytes(b"an older one")
    done = rig.client.images.export(["x:1", "busybox:latest"], str(path))
    data = path.read_bytes()
    assert (done.images, done.size) == (["x:1", "busybox:latest"], len(data))
    assert exported(rig, ["x:1", "busybox:latest"]) == data
    assert [name for name in os.listdir(rig.directory) if name.startswith(".out")] == []
    rig.clear()
    rig.client.images.import_(str(path))
    assert rig.client.images.get("x:1").target.digest == target.digest
    assert exported(rig, ["x:1", "busybox:latest"]) == data
    assert rig.client.run("busybox:latest", ["echo", "back"]).stdout == b"back\n"
    path.unlink()


def test_an_export_leaves_no_lease(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(two_layers("x:1")))
    exported(rig, "x:1")
    rig.client.images.convert("x:1", "x:2", compression="none")
    leases = [lease.id for lease in rig.client.leases.list() if not lease.id.startswith("default-")]
    assert leases == []


@pytest.mark.parametrize(
    ("path", "kind", "sentence"),
    [
        ("relative.tar", wharfie.InvalidArgument, "is not the absolute path of a file"),
        ("/dev/null", wharfie.InvalidArgument, "is no regular file"),
        ("/dev/shm", wharfie.InvalidArgument, "is no regular file"),
        ("/no/such/directory/x.tar", wharfie.NotFound, "directory '/no/such/directory' not found"),
        ("/proc/x.tar", wharfie.WharfieError, "/proc"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(
    rig: Rig, path: str, kind: type[wharfie.WharfieError], sentence: str
) -> None:
    rig.client.images.import_(rig.archive(two_layers("x:1")))
    caller = rig.client.images._caller
    with pytest.raises(kind, match=sentence):
        list(caller.stream("transfer.export", Export(images=["x:1"], path=path), Exporting))


def test_nothing_and_nobody_cannot_be_exported(rig: Rig) -> None:
    with pytest.raises(wharfie.InvalidArgument, match="nothing to export"):
        exported(rig, [])
    with pytest.raises(wharfie.NotFound, match="no-such"):
        exported(rig, "no-such:1")


class Several:
    """An archive of an image for two platforms, with an attestation for each."""

    def __init__(self) -> None:
        self.layout = Layout()
        self.here = self.layout.image([tar(TREE)])
        self.other = self.layout.image([tar({"other": b"x"})], architecture="s390x")
        self.attestation = self._attestation(self.here)
        self.other_attestation = self._attestation(self.other)
        self.index = self.layout.index(
            platform(self.here, HERE), platform(self.other, "linux/s390x"), self.attestation, self.other_attestation
        )
        self.layout.entry(self.index, ref="x:1")

    def _attestation(self, image: Mapping[str, Any]) -> dict[str, Any]:
        statement = self.layout.blob(f"about {image['digest']}".encode(), "application/vnd.in-toto+json")
        config = {
            "architecture": "unknown",
            "os": "unknown",
            "rootfs": {"diff_ids": [digest(image["digest"].encode())]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci.MEDIA_TYPE_MANIFEST,
            "config": self.layout.document(config, oci.MEDIA_TYPE_CONFIG),
            "layers": [statement],
        }
        made = self.layout.document(manifest, oci.MEDIA_TYPE_MANIFEST)
        return {**platform(made, "unknown/unknown"), "annotations": {ATTESTED: image["digest"]}}


def test_attestations_come_in_and_go_out_with_what_they_are_of(rig: Rig) -> None:
    several = Several()
    rig.client.images.import_(rig.archive(several.layout.tar()))
    (checked,) = rig.client.images.check(["x:1"])
    status = {one.manifest.digest: (one.status, one.is_image) for one in checked.variants}
    assert status == {
        several.here["digest"]: ("complete", True),
        several.other["digest"]: ("unavailable", True),
        several.attestation["digest"]: ("complete", False),
        several.other_attestation["digest"]: ("unavailable", False),
    }
    assert checked.unpacked == (HERE,)
    rig.client.gc.run()
    data = exported(rig, "x:1")
    assert {several.here["digest"], several.attestation["digest"], several.index["digest"]} <= blobs(data)
    assert several.other["digest"] not in blobs(data)
    with pytest.raises(wharfie.NotFound, match=f"blob '{several.other['digest']}' of image 'x:1'"):
        exported(rig, "x:1", all_platforms=True)
    assert exported(rig, "x:1", all_platforms=True, skip_missing=True) == data


def test_every_platform_comes_in_and_goes_out(rig: Rig) -> None:
    several = Several()
    rig.client.images.import_(rig.archive(several.layout.tar()), all_platforms=True)
    rig.client.gc.run()
    whole = {name.removeprefix("blobs/").replace("/", ":") for name in several.layout.files if "blobs" in name}
    assert blobs(exported(rig, "x:1", all_platforms=True)) == whole
    other = blobs(exported(rig, "x:1", platforms=["linux/s390x"]))
    assert several.other["digest"] in other
    assert several.here["digest"] not in other
    assert len(rig.snapshots()) == 1


def test_platforms_that_are_imported_one_after_the_other_are_all_kept(rig: Rig) -> None:
    several = Several()
    path = rig.archive(several.layout.tar())
    rig.client.images.import_(path)
    rig.client.images.import_(path, platform="linux/s390x")
    rig.client.gc.run()
    (checked,) = rig.client.images.check(["x:1"])
    assert [one.status for one in checked.variants] == ["complete"] * 4
    assert several.other["digest"] in blobs(exported(rig, "x:1", all_platforms=True))


def test_a_converted_image_has_the_same_files_and_new_layers(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(two_layers("x:1")))
    before = diff_ids(rig, "x:1")
    for name, compression, suffix in (
        ("zstd:1", "zstd", "+zstd"),
        ("none:1", "none", ".tar"),
        ("gzip:1", "gzip", "+gzip"),
    ):
        done = rig.client.images.convert("x:1" if name == "zstd:1" else "zstd:1", name, compression=compression)
        assert done.image.name == name
        assert all(layer.media_type.endswith(suffix) for layer in rig.client.images.manifest(name).layers)
        assert diff_ids(rig, name) == before
    again = rig.client.images.convert("x:1", "zstd:1", compression="zstd")
    assert again.image.target == rig.client.images.get("zstd:1").target
    rig.client.images.delete("x:1")
    rig.client.gc.run()
    assert [layer.digest for layer in rig.client.images.manifest("none:1").layers] == before
    assert rig.client.images.unpack("none:1") == rig.client.images.unpack("zstd:1")


def test_an_image_of_docker_becomes_one_of_oci_with_the_same_blobs(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(docker_archive({"l.tar": tar(TREE)}, tags=["d:1"])))
    layers = rig.client.images.manifest("d:1").layers
    done = rig.client.images.convert("d:1", "o:1", oci=True)
    manifest = rig.client.images.manifest("o:1")
    assert done.image.target.media_type == manifest.media_type == oci.MEDIA_TYPE_MANIFEST
    assert manifest.config.media_type == oci.MEDIA_TYPE_CONFIG
    assert [(layer.media_type, layer.digest) for layer in manifest.layers] == [(oci.MEDIA_TYPE_LAYER, layers[0].digest)]


def test_a_conversion_keeps_the_platforms_that_are_asked_for_and_what_attests_them(rig: Rig) -> None:
    several = Several()
    rig.client.images.import_(rig.archive(several.layout.tar()), all_platforms=True)
    rig.client.images.convert("x:1", "y:1", platforms=["linux/s390x"], compression="none")
    (checked,) = rig.client.images.check(["y:1"])
    image, attestation = checked.variants
    assert (image.platform, image.status, attestation.status) == ("linux/s390x", "complete", "complete")
    assert image.manifest.digest != several.other["digest"]
    assert (attestation.manifest.annotations or {})[ATTESTED] == image.manifest.digest
    assert attestation.manifest.digest == several.other_attestation["digest"]


def test_a_layer_that_is_another_tar_than_its_image_says_is_not_converted(rig: Rig) -> None:
    layout = Layout()
    layout.entry(layout.image([tar(TREE)], diff_ids=[digest(b"another")]), ref="x:1")
    rig.client.images.import_(rig.archive(layout.tar()), unpack=False)
    with pytest.raises(wharfie.FailedPrecondition, match="the image is broken"):
        rig.client.images.convert("x:1", "y:1", compression="zstd")
    rig.client.gc.run()
    assert rig.names() == ["x:1"]
    assert len(rig.client.content.list()) == 3


def test_what_a_failed_import_took_in_is_garbage(rig: Rig) -> None:
    layout = Layout()
    layout.entry(layout.image([tar(TREE)], diff_ids=[digest(b"another")]), ref="x:1")
    with pytest.raises(wharfie.FailedPrecondition):
        rig.client.images.import_(rig.archive(layout.tar()))
    for image in rig.client.images.list():
        rig.client.images.delete(image.name)
    rig.client.gc.run()
    assert rig.client.content.list() == []
    assert rig.snapshots() == []


def test_a_name_for_what_is_no_image_is_shown_and_not_exported(rig: Rig) -> None:
    info = rig.client.content.ingest(b"a text")
    target = Descriptor(media_type="text/plain", digest=info.digest, size=info.size)
    rig.client.images.create("text:1", target)
    (checked,) = rig.client.images.check()
    assert [(one.is_image, one.status) for one in checked.variants] == [(False, "complete")]
    assert (checked.content_bytes, checked.best) == (6, None)
    with pytest.raises(wharfie.InvalidArgument, match="malformed"):
        exported(rig, "text:1")


def test_an_image_of_indexes_that_list_each_other_often_is_looked_at_once(rig: Rig) -> None:
    layout = Layout()
    target = layout.index(*[platform(layout.image([tar(TREE)]), HERE)] * 20)
    for _ in range(6):
        target = layout.index(*[target] * 20)
    layout.entry(target, ref="deep:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    (checked,) = rig.client.images.check()
    assert len(checked.indexes) == 7
    assert [(one.platform, one.status) for one in checked.variants] == [(HERE, "complete")]


# -- other programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_skopeo_reads_our_archive(rig: Rig, kind: str) -> None:
    rig.client.images.import_(rig.archive(two_layers("app:1")))
    path = rig.directory / f"{kind}.tar"
    rig.client.images.export("app:1", str(path))
    copy = rig.directory / f"copy-{kind}"
    source = f"{kind}:{path}:{'1' if kind == 'oci-archive' else 'app:1'}"
    run("skopeo", "copy", "--insecure-policy", source, f"dir:{copy}")
    manifest = json.loads((copy / "manifest.json").read_text())
    if kind == "oci-archive":
        assert digest((copy / "manifest.json").read_bytes()) == rig.client.images.get("app:1").target.digest
    found = [gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data for data in _layers(copy, manifest)]
    assert [digest(data) for data in found] == diff_ids(rig, "app:1")


def _layers(copy: Path, manifest: Mapping[str, Any]) -> list[bytes]:
    return [(copy / layer["digest"].partition(":")[2]).read_bytes() for layer in manifest["layers"]]


def test_umoci_unpacks_our_archive_to_the_same_tree(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(two_layers("app:1")))
    rig.client.images.export("app:1", str(rig.directory / "umoci.tar"), skip_manifest_json=True)
    layout = rig.directory / "umoci"
    run("mkdir", str(layout))
    run("tar", "-xf", str(rig.directory / "umoci.tar"), "-C", str(layout))
    root = unpacked_by_umoci(layout, rig.directory / "bundle", tag="1")
    assert (root / "etc/name").read_bytes() == (root / "link").read_bytes() == b"of the image"
    assert (root / "etc/more").read_bytes() == b"more"
    assert not (root / "etc/gone").exists()


def test_what_umoci_changed_is_imported_from_its_directory(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(two_layers("app:1")))
    rig.client.images.export("app:1", str(rig.directory / "base.tar"))
    layout, bundle = rig.directory / "changed", rig.directory / "changed-bundle"
    run("mkdir", str(layout))
    run("tar", "-xf", str(rig.directory / "base.tar"), "-C", str(layout))
    root = unpacked_by_umoci(layout, bundle, tag="1")
    (root / "etc/new").write_bytes(b"by umoci")
    (root / "etc/name").unlink()
    run("umoci", "repack", "--image", f"{layout}:2", str(bundle))
    rig.client.images.delete("app:1")
    images = rig.client.images.import_(str(layout), base_name="app")
    assert "app:2" in [image.name for image in images]
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    by_ref = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in entries}
    assert rig.client.images.get("app:2").target.digest == by_ref["2"]
    changes = rig.client.diff.changes(rig.client.images.unpack("app:2"))
    assert {("A", "/etc/new"), ("D", "/etc/name")} <= {(str(change.kind), change.path) for change in changes}


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive"])
def test_what_skopeo_wrote_is_imported(rig: Rig, kind: str) -> None:
    rig.client.images.import_(rig.archive(busybox_archive("app:1")))
    before = diff_ids(rig, "app:1")
    target = rig.client.images.get("app:1").target.digest
    base = rig.directory / f"from-{kind}"
    run("mkdir", str(base))
    rig.client.images.export("app:1", str(base / "a.tar"))
    run("mkdir", str(base / "layout"))
    run("tar", "-xf", str(base / "a.tar"), "-C", str(base / "layout"))
    place = base / "copy"
    copied_by_skopeo(base / "layout", f"{kind}:{place}:{'1' if kind != 'docker-archive' else 'app:1'}", tag="1")
    rig.clear()
    images = rig.client.images.import_(str(place), base_name="app")
    name = "docker.io/library/app:1" if kind == "docker-archive" else "app:1"
    assert [image.name for image in images] == [name]
    assert diff_ids(rig, name) == before
    if kind != "docker-archive":
        assert images[0].target.digest == target
    assert rig.client.run(name, ["echo", "theirs"]).stdout == b"theirs\n"
