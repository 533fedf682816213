"""Snapshotters as they are configured, through the whole daemon."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from linux import mount
from tests.conformance.snapshotter import Snapshotter, put, tree, write
from tests.support.storage import Storage, storage
from wharfie import InvalidArgument

UPPERDIR = "containerd.io/snapshot/overlay.upperdir"
UIDS, GIDS = "containerd.io/snapshot/uidmapping", "containerd.io/snapshot/gidmapping"
MAPPED = {UIDS: "0:100000:65536", GIDS: "0:200000:65536"}


@pytest.fixture(scope="module")
def configured() -> Iterator[Storage]:
    settings = {
        "snapshot.mount_options": ["volatile"],
        "snapshot.sync_remove": True,
        "snapshot.slow_chown": True,
        "snapshot.upperdir_label": True,
    }
    with storage(settings) as running:
        yield running


@pytest.fixture
def overlayfs(configured: Storage, request: pytest.FixtureRequest) -> Iterator[Snapshotter]:
    with (
        tempfile.TemporaryDirectory(prefix="wc-", dir="/dev/shm") as place,
        configured.connect(namespace=request.node.name[:60].replace("_", "-")) as client,
    ):
        yield Snapshotter(client, "overlayfs", place, renames_directories=False)
        assert mount.unmount_beneath(place, flags=mount.MNT_DETACH) == []


def test_the_space_is_free_when_a_removal_is_answered(configured: Storage, overlayfs: Snapshotter) -> None:
    root = f"{configured.root}/snapshots/overlayfs"
    before = sorted(os.listdir(root))
    with overlayfs.seen(overlayfs.prepare("key")) as seen:
        write(f"{seen}/file", "text")
    assert sorted(os.listdir(root)) != before
    overlayfs.remove("key")
    assert sorted(os.listdir(root)) == before


def test_the_upper_directory_is_told_in_a_label(overlayfs: Snapshotter) -> None:
    overlayfs.layer("base", "", put({"f": "f"}))
    with overlayfs.seen(overlayfs.prepare("active", "base", {"a": "b"})) as seen:
        write(f"{seen}/new", "new")
    labels = overlayfs.stat("active").labels
    assert set(labels) == {"a", UPPERDIR}
    assert tree(labels[UPPERDIR]) == {"new": "new"}
    assert tree(overlayfs.stat("base").labels[UPPERDIR]) == {"f": "f"}
    updated = overlayfs.client.snapshots.update("active", {"a": "c"}, mask=["labels.a"], snapshotter="overlayfs")
    assert updated.labels == {"a": "c", UPPERDIR: labels[UPPERDIR]}
    assert overlayfs.names(f'labels."{UPPERDIR}"=={labels[UPPERDIR]}') == ["active"]
    # It is not stored: somebody else's snapshotter has none.
    overlayfs.client.snapshots.prepare("plain", snapshotter="native")
    assert overlayfs.client.snapshots.stat("plain", snapshotter="native").labels == {}


def test_volatile_mounts_are_repeated(overlayfs: Snapshotter) -> None:
    overlayfs.layer("base", "", put({"f": "f"}))
    mounts = overlayfs.prepare("active", "base")
    assert "volatile" in mounts[0].options
    for name in ("one", "two"):
        with overlayfs.seen(overlayfs.mounts("active")) as seen:
            write(f"{seen}/{name}", name)
    overlayfs.commit("done", "active")
    assert overlayfs.files("done") == {"f": "f", "one": "one", "two": "two"}


def test_owners_are_mapped_by_labels(overlayfs: Snapshotter) -> None:
    overlayfs.layer("base", "", put({"f": "f"}))
    overlayfs.layer("second", "base", put({"g": "g"}))
    mounts = overlayfs.prepare("mapped", "second", MAPPED)
    assert mounts == overlayfs.mounts("mapped")
    with overlayfs.seen(mounts) as seen:
        for name in (".", "f", "g"):
            status = os.stat(f"{seen}/{name}")
            assert (status.st_uid, status.st_gid) == (100000, 200000)
    with overlayfs.seen(overlayfs.view("plain", "second")) as seen:
        assert os.stat(f"{seen}/f").st_uid == 0


def test_labels_that_map_nothing_leave_no_snapshot(overlayfs: Snapshotter) -> None:
    for labels in ({UIDS: "0:1:2"}, {UIDS: "x", GIDS: "y"}):
        with pytest.raises(InvalidArgument, match="label"):
            overlayfs.prepare("bad", labels=labels)
    assert overlayfs.names() == []
