"""`diff.create`, `diff.apply` and `diff.changes`: layers of trees, and trees of layers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
from collections.abc import Iterator

import pytest

import wharfie
from tests.support import busybox, changedfiles, trees
from tests.support.archives import tar
from tests.support.changedfiles import change_everything
from tests.system.transfer.conftest import Rig
from wharfie.types import base as base_types

BASE = "busybox:latest"


@pytest.fixture
def base(rig: Rig) -> str:
    rig.client.images.import_(busybox.archive(f"{rig.directory}/busybox.tar"))
    return BASE


@pytest.fixture
def container(rig: Rig, base: str) -> Iterator[wharfie.Container]:
    made = rig.client.containers.create(base, ["true"], id="box")
    yield made
    made.delete(force=True)


def mounted(rig: Rig, key: str, *, snapshotter: str = "") -> contextlib.AbstractContextManager[str]:
    """A snapshot's files, at a directory of the test."""
    return changedfiles.mounted(rig.client, key, f"{rig.directory}/mounted", snapshotter=snapshotter)


def test_a_layer_of_a_snapshot_applied_to_its_parent_makes_the_snapshot(rig: Rig, container: wharfie.Container) -> None:
    client = rig.client
    with mounted(rig, "box") as root:
        change_everything(root)
        expected = trees.described(root)
    made = client.diff.create("box")
    parent = client.snapshots.stat("box").parent
    for snapshotter in rig.snapshotters():
        top = parent if snapshotter == "overlayfs" else client.images.unpack(BASE, snapshotter=snapshotter)
        client.snapshots.prepare("again", top, snapshotter=snapshotter)
        applied = client.diff.apply(made.descriptor, "again", snapshotter=snapshotter, sync=True)
        assert (applied.digest, applied.size) == (made.diff_id, made.diff_size)
        with mounted(rig, "again", snapshotter=snapshotter) as root:
            assert trees.described(root) == expected
        client.snapshots.commit("again-committed", "again", snapshotter=snapshotter)
        assert client.diff.create("again-committed", snapshotter=snapshotter).diff_id == made.diff_id
    mounts = client.snapshots.mounts("box")
    below = client.snapshots.view("below", parent)
    assert client.diff.create(lower=below, upper=mounts) == made
    assert [info.name for info in client.snapshots.list() if info.name.startswith("unpack-")] == []


def test_a_layer_applied_alone_deletes_from_the_parent_that_it_gets(rig: Rig, base: str) -> None:
    client = rig.client
    below = client.images.unpack(base)
    blob = client.content.ingest(tar({"etc/.wh.group": b"", "bin/.wh..wh..opq": b"", "new": b"n"}))
    client.snapshots.prepare("alone")
    client.diff.apply(base_types.Descriptor(media_type="", digest=blob.digest, size=blob.size), "alone")
    client.snapshots.commit("on-top", "alone", parent=below)
    client.snapshots.view("look", "on-top")
    with mounted(rig, "look") as root:
        assert sorted(os.listdir(root)) == ["bin", "dev", "etc", "new", "proc", "root", "sys", "tmp"]
        assert (os.listdir(f"{root}/bin"), os.listdir(f"{root}/etc")) == ([], ["passwd"])


def test_a_tree_without_a_parent_is_a_layer_of_all_of_it(rig: Rig) -> None:
    rig.client.snapshots.prepare("whole")
    with mounted(rig, "whole") as root:
        trees.grow(root, {"a/b": b"x"})
    made = rig.client.diff.create("whole", media_type="application/vnd.oci.image.layer.v1.tar")
    with tarfile.open(fileobj=io.BytesIO(rig.client.content.read(made.descriptor.digest))) as tar:
        assert tar.getnames() == ["a", "a/b"]
    assert made.diff_id == made.descriptor.digest


def test_bad_requests_of_differences_are_refused_by_field(rig: Rig) -> None:
    diff = rig.client.diff
    rig.client.snapshots.prepare("s")
    with pytest.raises(wharfie.InvalidArgument, match="either 'key'"):
        diff.create()
    with pytest.raises(wharfie.Unimplemented, match="x/y"):
        diff.create("s", media_type="x/y")
    with pytest.raises(wharfie.NotFound, match="nothing"):
        diff.changes("nothing")
    bad = [base_types.Mount(type="bind", source="/nowhere", options=["rbind"])]
    with pytest.raises(wharfie.NotFound, match="/nowhere"):
        diff.changes(upper=bad)
    digest = "sha256:" + "0" * 64
    blob = base_types.Descriptor(media_type="", digest=digest, size=1)
    with pytest.raises(wharfie.NotFound, match=digest):
        diff.apply(blob, "s")
    info = rig.client.content.ingest(json.dumps({"no": "layer"}).encode())
    with pytest.raises(wharfie.WharfieError, match="layer"):
        diff.apply(base_types.Descriptor(media_type="", digest=info.digest, size=info.size), "s")


def test_a_snapshot_with_mapped_owners_is_a_layer_with_those_of_the_image(rig: Rig, base: str) -> None:
    labels = {f"containerd.io/snapshot/{kind}mapping": "0:100000:65536" for kind in ("uid", "gid")}
    client = rig.client
    try:
        client.snapshots.prepare("mapped", client.images.unpack(base), labels=labels)
    except wharfie.FailedPrecondition as error:
        pytest.skip(error.message)
    with mounted(rig, "mapped") as root:
        assert os.stat(f"{root}/etc/passwd").st_uid == 100000
        trees.grow(f"{root}/srv", {"f": b"x"})
        os.chown(f"{root}/srv", 100000, 100000)
        os.chown(f"{root}/srv/f", 100005, 100006)
        os.close(os.open(f"{root}/etc/passwd", os.O_RDWR))
    assert [change.path for change in client.diff.changes("mapped")] == ["/srv", "/srv/f"]
    made = client.diff.create("mapped", media_type="application/vnd.oci.image.layer.v1.tar")
    with tarfile.open(fileobj=io.BytesIO(client.content.read(made.descriptor.digest))) as tar:
        assert {info.name: (info.uid, info.gid) for info in tar} == {"srv": (0, 0), "srv/f": (5, 6)}
