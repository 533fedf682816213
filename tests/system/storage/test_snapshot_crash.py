"""Every named step of the snapshot worker, with the worker killed there, and with the whole daemon killed there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from linux import mount
from tests.conformance.snapshotter import Snapshotter, put, tree, write
from tests.support import loopfs
from tests.support.failpoints import all_names
from tests.support.storage import Storage
from tests.support.wait import until
from wharfie import NotFound, ResourceExhausted

TAKEN_BACK = "snapshot.prepare.taken-back"
"""Only passed by a prepare that fails."""

POINTS = sorted(name for name in all_names() if name.startswith("snapshot.") and name != TAKEN_BACK)
SNAPSHOTTERS = ("overlayfs", "native", "btrfs")


@pytest.fixture
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wc-", dir="/dev/shm") as directory:
        yield directory
        assert mount.unmount_beneath(directory, flags=mount.MNT_DETACH) == []


def go_through_everything(sn: Snapshotter) -> None:
    """Pass every step of the snapshot worker, with answers that must be those of the first time."""
    mounts = sn.prepare("active")
    assert sn.mounts("active") == mounts
    with sn.seen(mounts) as root:
        write(f"{root}/dir/file", "text")
    sn.commit("base", "active", labels={"a": "b"})
    sn.layer("upper", "base", put({"dir/more": "more"}))
    sn.view("look", "upper")
    assert sn.files("upper") == {"dir/": "", "dir/file": "text", "dir/more": "more"}
    with sn.seen(sn.prepare("temporary", "upper")) as root:
        write(f"{root}/gone", "gone")
    sn.remove("temporary")
    sn.client.gc.run()


def check(daemon: Storage, sn: Snapshotter) -> None:
    """Nothing lost, nothing left over."""
    assert sn.names() == ["base", "look", "upper"]
    assert sn.stat("base").labels == {"a": "b"}
    assert sn.usage("base").inodes == 3
    with sn.seen(sn.mounts("look")) as root:
        assert tree(root) == {"dir/": "", "dir/file": "text", "dir/more": "more"}
    for key in ("look", "upper", "base"):
        sn.remove(key)
    # Removed directories go in the background, those of a crash once the worker is up again.
    until(lambda: os.listdir(f"{daemon.root}/snapshots/{sn.name}") == [])


@pytest.mark.parametrize("snapshotter", SNAPSHOTTERS)
@pytest.mark.parametrize("point", POINTS)
def test_the_worker_is_killed(daemon: Storage, place: str, point: str, snapshotter: str) -> None:
    if snapshotter == "btrfs":
        loopfs.need("btrfs")
    with daemon.connect(namespace=f"{snapshotter}-{point}") as client:
        sn = Snapshotter(client, snapshotter, place)
        daemon.failpoints.arm(point)
        go_through_everything(sn)
        assert daemon.failpoints.was_hit(point)
        check(daemon, sn)


@pytest.mark.parametrize("snapshotter", SNAPSHOTTERS)
@pytest.mark.parametrize("point", POINTS)
def test_the_whole_daemon_is_killed(mortal: Storage, place: str, point: str, snapshotter: str) -> None:
    if snapshotter == "btrfs":
        loopfs.need("btrfs")
    with mortal.connect(namespace=f"{snapshotter}-{point}") as client:
        sn = Snapshotter(client, snapshotter, place)
        killer = mortal.kill_all_at(point)
        go_through_everything(sn)
        killer.join()
        check(mortal, sn)


@pytest.mark.parametrize("snapshotter", SNAPSHOTTERS)
@pytest.mark.parametrize("dies", ["worker", "daemon"])
def test_a_prepare_that_failed_and_is_tried_again_under_its_key_is_named(
    mortal: Storage, place: str, snapshotter: str, dies: str
) -> None:
    with mortal.connect() as client:
        sn = Snapshotter(client, snapshotter, place)
        # The name is taken back; then somebody dies before the client could be told, and it asks again.
        mortal.failpoints.arm("snapshot.prepare.filled", "enospc")
        killer = None
        if dies == "worker":
            mortal.failpoints.arm(TAKEN_BACK)
        else:
            killer = mortal.kill_all_at(TAKEN_BACK)
        mounts = sn.prepare("active")
        if killer is not None:
            killer.join()
        assert mortal.failpoints.was_hit("snapshot.prepare.filled")
        assert sn.names() == ["active"]
        assert sn.mounts("active") == mounts
        with sn.seen(mounts) as root:
            write(f"{root}/file", "text")
        sn.remove("active")
        until(lambda: os.listdir(f"{mortal.root}/snapshots/{snapshotter}") == [])


def test_a_prepare_that_fails_leaves_neither_name_nor_directory(daemon: Storage, place: str) -> None:
    with daemon.connect(namespace="full", timeout_s=5.0) as client:
        sn = Snapshotter(client, "overlayfs", place)
        daemon.failpoints.arm("snapshot.prepare.filled", "error resource_exhausted")
        with pytest.raises(ResourceExhausted):
            sn.prepare("active")
        with pytest.raises(NotFound):
            sn.stat("active")
        until(lambda: os.listdir(f"{daemon.root}/snapshots/overlayfs") == [])
