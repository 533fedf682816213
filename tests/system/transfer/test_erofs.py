"""Images unpacked by the erofs snapshotter in a whole daemon: what they show, what runs on them, what crashes leave."""

from __future__ import annotations

import itertools
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import wharfie
from linux import mount, mountinfo
from tests.support import busybox, erofsimages, tars
from tests.support.archives import Layout
from tests.support.tars import directory, file, hardlink, node, symlink
from tests.support.wait import until
from tests.system.transfer.conftest import Rig, started

_views = itertools.count()


def image(*layers: Iterable[tars.Member], name: str = "x:1") -> bytes:
    layout = Layout()
    layout.entry(layout.image([tars.tar(layer) for layer in layers]), ref=name)
    return layout.tar()


def images_mounted(rig: Rig) -> list[str]:
    at = str(rig.daemon.root / "snapshots/erofs")
    return [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), at) if entry.fstype == "erofs"]


def clear(rig: Rig) -> None:
    """Nothing of erofs stays, and no mount."""
    rig.clear()
    until(lambda: not images_mounted(rig))


@pytest.fixture
def erofs(rig: Rig) -> Iterator[Rig]:
    yield rig
    clear(rig)


def seen(rig: Rig, name: str, snapshotter: str) -> erofsimages.Described:
    """All of an image's files, as a container sees them."""
    chain = rig.client.images.unpack(name, snapshotter=snapshotter)
    key = f"look-{next(_views)}"
    mounts = rig.client.snapshots.view(key, chain, snapshotter=snapshotter)
    place = rig.directory / key
    place.mkdir()
    mount.mount_all([(one.type, one.source, one.target, tuple(one.options)) for one in mounts], root=str(place))
    try:
        found = erofsimages.described(str(place))
    finally:
        mount.umount(str(place))
        place.rmdir()
    rig.client.snapshots.remove(key, snapshotter=snapshotter)
    return found


def without_new_times(found: erofsimages.Described) -> erofsimages.Described:
    """The same without times that no layer gave: of the moment, or none at all."""
    return {
        path: said if len(said) < 6 or said[5] == tars.MTIME * 10**9 else (*said[:5], None, *said[6:])
        for path, said in found.items()
    }


BELOW = [
    directory("etc", mode=0o711, uid=3),
    file("etc/old", b"old"),
    file("etc/kept", b"kept" * 2000),
    directory("usr/bin", mode=0o1777, gid=70_000),
    symlink("bin", "usr/bin"),
    directory("gone/away"),
    file("opaque/hidden", b"x"),
    node("null", tarfile.CHRTYPE, major=1, minor=3),
]
ABOVE = [
    file("etc/.wh.old"),
    file("etc/new", b"new", mode=0o4755),
    hardlink("etc/hard", "etc/new"),
    file(".wh.gone"),
    directory("opaque"),
    file("opaque/.wh..wh..opq"),
    file("opaque/shown", b"y"),
]
THROUGH_A_LINK = [file("bin/tool", b"tool"), hardlink("etc/linked", "etc/kept")]
LAST = [file("usr/bin/last", b"last"), file("last", os.urandom(300_000))]


@pytest.mark.parametrize(
    "layers",
    [[BELOW], [BELOW, ABOVE], [BELOW, ABOVE, LAST], [BELOW, THROUGH_A_LINK, ABOVE, LAST], [BELOW, LAST, ABOVE, LAST]],
)
def test_an_image_looks_as_with_overlayfs(erofs: Rig, layers: list[list[tars.Member]]) -> None:
    archive = erofs.archive(image(*layers))
    erofs.client.images.import_(archive, snapshotter="erofs")
    erofs.client.images.import_(archive, snapshotter="overlayfs")
    shown = without_new_times(seen(erofs, "x:1", "erofs"))
    assert shown == without_new_times(seen(erofs, "x:1", "overlayfs"))
    assert shown[b"etc"][:3] == ("0o40711", 3, 0)
    assert shown[b"usr/bin"][:3] == ("0o41777", 0, 70_000)


def test_nothing_of_a_layer_is_unpacked(erofs: Rig) -> None:
    erofs.client.images.import_(erofs.archive(image(BELOW, ABOVE)), snapshotter="erofs")
    root = erofs.daemon.root / "snapshots/erofs"
    numbers = sorted(name for name in os.listdir(root) if name.isdigit())
    assert len(numbers) == 2
    for number in numbers:
        assert "layer.erofs" in os.listdir(root / number)
        assert not (root / number / "fs").exists()
        erofsimages.check(str(root / number / "layer.erofs"))
    for info in erofs.client.snapshots.list(snapshotter="erofs"):
        assert erofs.client.snapshots.usage(info.name, snapshotter="erofs").inodes > 1


@pytest.mark.parametrize(
    "layer", [tars.tar([file("f", b"x" * 9000)])[:5000], tars.tar([file(".wh...")]), b"#!/bin/sh\n" * 200]
)
def test_a_layer_that_is_refused_leaves_no_snapshot(erofs: Rig, layer: bytes) -> None:
    layout = Layout()
    layout.entry(layout.image([layer]), ref="x:1")
    with pytest.raises(wharfie.WharfieError) as caught:
        erofs.client.images.import_(erofs.archive(layout.tar()), snapshotter="erofs")
    assert caught.value.code in ("data_loss", "invalid_argument")
    assert erofs.client.snapshots.list(snapshotter="erofs") == []


def test_a_container_runs_on_images_and_what_it_wrote_becomes_one(erofs: Rig) -> None:
    client = erofs.client
    client.images.import_(busybox.archive(f"{erofs.directory}/busybox.tar"), snapshotter="erofs")
    container = client.containers.create(
        "busybox:latest", ["sh", "-c", "echo new > /etc/new; rm -r /root"], id="box", snapshotter="erofs"
    )
    container.start().wait(timeout_s=30)
    assert ("A", "/etc/new") in [(change.kind.value, change.path) for change in container.diff()]
    container.commit("mine:1")
    again = client.containers.create("mine:1", ["cat", "/etc/new"], id="again", snapshotter="erofs")
    assert again.start().wait(timeout_s=30).exit_status == 0
    # As a snapshot too: the upper directory becomes an image.
    parent = client.snapshots.stat(container.record.snapshot_key, snapshotter="erofs").parent
    for one in (container, again):
        one.delete(force=True)
    mounts = client.snapshots.prepare("written", parent, snapshotter="erofs")
    with_tool = erofs.directory / "merged"
    with_tool.mkdir()
    mount.mount_all([(one.type, one.source, one.target, tuple(one.options)) for one in mounts], root=str(with_tool))
    try:
        (with_tool / "tool").write_bytes(b"tool" * 10_000)
    finally:
        mount.umount(str(with_tool))
        with_tool.rmdir()
    client.snapshots.commit("done", "written", snapshotter="erofs")
    assert client.snapshots.usage("done", snapshotter="erofs").size >= 40_000


def test_deaths_of_the_snapshot_worker_and_the_daemon_lose_no_layer() -> None:
    with started() as rig:
        client = rig.client
        client.images.import_(busybox.archive(f"{rig.directory}/busybox.tar"), snapshotter="erofs")

        def runs(name: str) -> None:
            container = client.containers.create("busybox:latest", ["true"], id=name, snapshotter="erofs")
            assert container.start().wait(timeout_s=30).exit_status == 0
            container.delete(force=True)

        runs("before")
        before = images_mounted(rig)
        assert before
        os.kill(rig.actors()["snapshot"], 9)
        runs("after")
        assert images_mounted(rig) == before
        # An orderly end leaves no mount, and the next start makes them again.
        rig.daemon.stop()
        assert images_mounted(rig) == []
        rig.daemon.start()
        rig.daemon.wait_notified("READY=1")
        runs("again")
        assert images_mounted(rig) == before
        assert Path(before[0]).name == "layer"
        clear(rig)
