"""Kill -9 at each step of an import and a commit with erofs: they succeed all the same, and nothing is left over."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest

import wharfie
from linux import mount, mountinfo
from tests.support.archives import Layout
from tests.support.failpoints import all_names
from tests.support.tars import directory, file, tar
from tests.support.wait import until
from tests.system.transfer.conftest import Rig

LAYERS = [
    tar([directory("d", mode=0o700), file("d/0", b"0" * 10_000)]),
    tar([file("d/1", b"1")]),
    tar([file("d/.wh.0"), file("d/2", b"2")]),
]
STEPS = [
    *sorted(name for name in all_names() if name.startswith("transfer.unpack.")),
    "transfer.job.unpack",
    "snapshot.prepare.filled",
    "snapshot.commit.measured",
]


def image() -> bytes:
    layout = Layout()
    layout.entry(layout.image(LAYERS), ref="x:1")
    return layout.tar()


def numbers(rig: Rig) -> list[str]:
    return sorted(name for name in os.listdir(rig.daemon.root / "snapshots/erofs") if name.isdigit())


def mounted(rig: Rig) -> list[str]:
    at = str(rig.daemon.root / "snapshots/erofs")
    return [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), at)]


@contextlib.contextmanager
def seen(rig: Rig, key: str) -> Iterator[str]:
    """The files of an active snapshot or view."""
    place = str(rig.directory / "seen")
    os.makedirs(place, exist_ok=True)
    mounts = rig.client.snapshots.mounts(key, snapshotter="erofs")
    mount.mount_all([(one.type, one.source, one.target, tuple(one.options)) for one in mounts], root=place)
    try:
        yield place
    finally:
        mount.umount(place)


@pytest.fixture
def erofs(rig: Rig) -> Iterator[Rig]:
    yield rig
    rig.clear()
    until(lambda: not numbers(rig))
    until(lambda: not mounted(rig))


def is_whole(rig: Rig) -> None:
    """The image's snapshots are there and right, and nothing else."""
    client = rig.client
    until(lambda: not [info for info in client.snapshots.list(snapshotter="erofs") if info.name.startswith("unpack-")])
    assert len(client.snapshots.list(snapshotter="erofs")) == len(LAYERS)
    until(lambda: len(numbers(rig)) == len(LAYERS))
    client.snapshots.view("look", client.images.unpack("x:1", snapshotter="erofs"), snapshotter="erofs")
    with seen(rig, "look") as root:
        assert sorted(os.listdir(f"{root}/d")) == ["1", "2"]
        assert os.stat(f"{root}/d").st_mode == 0o40700
    client.snapshots.remove("look", snapshotter="erofs")


@pytest.mark.parametrize("point", STEPS)
def test_whoever_is_killed_at_a_step_the_import_succeeds(erofs: Rig, point: str) -> None:
    erofs.points.arm(point)
    erofs.client.images.import_(erofs.archive(image()), snapshotter="erofs", timeout_s=60)
    assert erofs.points.was_hit(point)
    is_whole(erofs)


@pytest.mark.parametrize("point", ["erofs.commit.written", "snapshot.commit.measured"])
def test_a_commit_succeeds_whoever_is_killed(erofs: Rig, point: str) -> None:
    client = erofs.client
    client.images.import_(erofs.archive(image()), snapshotter="erofs")
    client.snapshots.prepare("active", client.images.unpack("x:1", snapshotter="erofs"), snapshotter="erofs")
    with seen(erofs, "active") as root:
        os.unlink(f"{root}/d/1")
        os.mkdir(f"{root}/new")
    erofs.points.arm(point)
    client.snapshots.commit("done", "active", snapshotter="erofs", timeout_s=60)
    assert erofs.points.was_hit(point)
    client.snapshots.view("look", "done", snapshotter="erofs")
    with seen(erofs, "look") as root:
        assert sorted(os.listdir(root)) == ["d", "new"]
        assert os.listdir(f"{root}/d") == ["2"]


def test_a_commit_that_is_refused_its_name_can_be_written_on_and_committed_again(erofs: Rig) -> None:
    client = erofs.client
    for key in ("first", "second"):
        client.snapshots.prepare(key, snapshotter="erofs")
        with seen(erofs, key) as root, open(f"{root}/{key}", "w"):
            pass
    client.snapshots.commit("taken", "first", snapshotter="erofs")
    with pytest.raises(wharfie.AlreadyExists):
        client.snapshots.commit("taken", "second", snapshotter="erofs")
    with seen(erofs, "second") as root, open(f"{root}/more", "w"):
        pass
    client.snapshots.commit("free", "second", snapshotter="erofs")
    client.snapshots.view("look", "free", snapshotter="erofs")
    with seen(erofs, "look") as root:
        assert sorted(os.listdir(root)) == ["more", "second"]


def test_a_death_of_the_snapshot_worker_while_a_layer_is_read_is_not_noticed(erofs: Rig) -> None:
    erofs.points.arm("transfer.job.unpack", "stop")
    actors = erofs.actors()
    importing = threading.Thread(
        target=erofs.client.images.import_, args=(erofs.archive(image()),), kwargs={"snapshotter": "erofs"}
    )
    importing.start()
    stopped = until(erofs.stopped)
    os.kill(actors["snapshot"], 9)
    for pid in stopped:
        os.kill(pid, 18)
    importing.join(60)
    assert not importing.is_alive()
    is_whole(erofs)
