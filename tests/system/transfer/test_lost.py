"""Snapshots whose directories are gone: found at start, told, and put back by unpacking the image again."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from linux import mount
from tests.support import tars
from tests.support.archives import Layout
from tests.support.tars import directory, file
from tests.system.transfer.conftest import Rig
from tests.system.transfer.test_import import tree_of
from wharfie import DataLoss
from wharfie.types.snapshots import Kind

LAYERS = [
    [directory("a"), file("a/one", b"1"), file("gone", b"x"), file("top", b"1")],
    [file("a/two", b"2"), file(".wh.gone"), file("top", b"2")],
    # Implicit directories have to be looked up in the layers below.
    [file("a/three", b"3"), file("top", b"3")],
    [file("a/four", b"4"), file("top", b"4")],
]
FILES = {"a/one": b"1", "a/two": b"2", "a/three": b"3", "a/four": b"4", "top": b"4"}


def imported(rig: Rig, snapshotter: str) -> list[str]:
    """Import the image; the names of its snapshots, the lowest first."""
    layout = Layout()
    layout.entry(layout.image([tars.tar(layer) for layer in LAYERS]), ref="x:1")
    rig.client.images.import_(rig.archive(layout.tar()), snapshotter=snapshotter)
    found = {info.parent: info.name for info in rig.client.snapshots.list(snapshotter=snapshotter)}
    chain, above = [], ""
    while above in found:
        above = found[above]
        chain.append(above)
    return chain


def directory_of(rig: Rig, name: str, snapshotter: str) -> str:
    """The directory of a committed snapshot, told by a view of it."""
    view = f"look-{name}"
    [mount] = rig.client.snapshots.view(view, name, snapshotter=snapshotter)
    rig.client.snapshots.remove(view, snapshotter=snapshotter)
    lower = next((one for one in mount.options if one.startswith("lowerdir=")), "").removeprefix("lowerdir=")
    return (lower.split(":")[0] or mount.source).rpartition("/")[0]


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native", "erofs"])
@pytest.mark.parametrize("lost", [(0,), (1,), (3,), (0, 2)], ids=str)
def test_lost_directories_are_made_anew(rig: Rig, snapshotter: str, lost: tuple[int, ...]) -> None:
    if snapshotter not in rig.snapshotters():
        pytest.skip(f"snapshotter '{snapshotter}' does not work in this kernel")
    chain = imported(rig, snapshotter)
    before = {info.name: info for info in rig.client.snapshots.list(snapshotter=snapshotter)}
    rig.client.snapshots.prepare("running", chain[-1], snapshotter=snapshotter)
    for place in [directory_of(rig, chain[number], snapshotter) for number in lost]:
        mount.unmount_beneath(place)
        shutil.rmtree(place)
    os.kill(rig.actors()["snapshot"], signal.SIGKILL)
    with pytest.raises(DataLoss):
        rig.client.snapshots.prepare("another", chain[-1], snapshotter=snapshotter)
    rig.client.images.unpack("x:1", snapshotter=snapshotter)
    rig.client.snapshots.prepare("another", chain[-1], snapshotter=snapshotter)
    after = rig.client.snapshots.list(["kind==committed"], snapshotter=snapshotter)
    assert {info.name: info for info in after} == before
    seen = tree_of(rig, "x:1", snapshotter=snapshotter)
    assert {path: content for path, (_, content) in seen.items() if content} == FILES
    kinds = [info.kind for info in rig.client.snapshots.list(snapshotter=snapshotter)]
    assert kinds.count(Kind.ACTIVE) == 2
