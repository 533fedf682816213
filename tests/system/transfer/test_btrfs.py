"""Images on btrfs: unpacked layer by layer, each a snapshot of the one below it, and compared again."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

import pytest

import wharfie
from tests.support import tars
from tests.support.archives import Layout
from tests.support.daemon import Daemon
from tests.support.failpoints import Failpoints
from tests.support.loopfs import loop_filesystem, need
from tests.support.tars import directory, file, hardlink, symlink
from tests.system.transfer.conftest import Rig
from tests.system.transfer.test_import import nothing_half_done, tree_of

LAYERS = [
    [directory("usr/bin", mode=0o711), file("usr/bin/old", b"old"), symlink("bin", "usr/bin"), file("gone", b"x")],
    [file("bin/tool", b"tool"), file("bin/.wh.old"), file(".wh.gone")],
    [directory("usr"), file("usr/.wh..wh..opq"), file("usr/new", b"new"), hardlink("usr/same", "usr/new")],
]


@pytest.fixture
def btrfs() -> Iterator[Rig]:
    """A daemon whose snapshotter of this name has its file system."""
    need("btrfs")
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/dev/shm") as place, contextlib.ExitStack() as stack:
        daemon = Daemon(config='[snapshot]\nsnapshotter = "btrfs"\n')
        disk = contextlib.ExitStack()
        try:
            disk.enter_context(loop_filesystem("btrfs", f"{daemon.root}/snapshots/btrfs"))
            stack.enter_context(daemon)
            with wharfie.connect(str(daemon.address), namespace="ci", timeout_s=60) as client:
                yield Rig(daemon, Failpoints(f"{place}/points"), client, place)
            daemon.stop()
        finally:
            disk.close()


def test_an_image_is_unpacked_run_and_compared(btrfs: Rig) -> None:
    layout = Layout()
    layout.entry(layout.image([tars.tar(layer) for layer in LAYERS]), ref="x:1")
    client = btrfs.client
    client.images.import_(btrfs.archive(layout.tar()))
    found = {path: content for path, (_, content) in tree_of(btrfs, "x:1").items() if content}
    assert found == {"bin": b"usr/bin", "usr/new": b"new", "usr/same": b"new"}
    assert len(client.snapshots.list(["kind==committed"], snapshotter="btrfs")) == len(LAYERS)
    [mount] = client.snapshots.prepare("work", client.images.unpack("x:1"))
    with open(f"{mount.source}/more", "w") as more:
        more.write("more")
    assert [(str(change.kind), change.path) for change in client.diff.changes("work")] == [("A", "/more")]
    client.snapshots.remove("work")
    nothing_half_done(btrfs)
    client.images.delete("x:1", sync=True)
    assert client.snapshots.list() == []
