"""What is on disk when a commit is answered: the disk is copied at that moment, and looked at as after a power failure."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator

import pytest

from actors.snapshot.btrfs import Btrfs
from actors.snapshot.erofs.backend import Erofs
from actors.snapshot.local import LocalBackend
from actors.snapshot.native import Native
from actors.snapshot.overlayfs import Overlayfs
from linux import mount
from tests.conformance.snapshotter import tree
from tests.support import loopfs
from wharfie.types.snapshots import Kind

BACKENDS: list[tuple[type[LocalBackend], str]] = [
    (Overlayfs, "ext4"),
    (Native, "ext4"),
    (Erofs, "ext4"),
    (Btrfs, "btrfs"),
]


@pytest.fixture
def place() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="power-", dir="/dev/shm")
    os.mkdir(f"{directory}/disk")
    yield directory
    mount.unmount_beneath(directory)
    shutil.rmtree(directory)


@pytest.mark.parametrize(("backend_class", "kind"), BACKENDS, ids=lambda one: getattr(one, "name", one))
def test_a_committed_snapshot_survives_a_power_failure(
    place: str, backend_class: Callable[[str], LocalBackend], kind: str
) -> None:
    loopfs.need(kind)
    disk = f"{place}/disk"
    loopfs.make(f"{place}/image", kind)
    loopfs.attach(f"{place}/image", disk)
    backend = backend_class(f"{disk}/snapshots")
    backend.prepare(1, [], Kind.ACTIVE)
    files = {f"{number}": f"text {number} " * 1000 for number in range(200)}
    for name, text in files.items():
        with open(f"{backend.files(1)}/{name}", "w") as file:
            file.write(text)
    backend.commit(1)
    # Only what was written to the device is in its file; what is in the page cache of the file system is not.
    shutil.copyfile(f"{place}/image", f"{place}/after")
    mount.umount(disk)
    loopfs.attach(f"{place}/after", disk)
    again = backend_class(f"{disk}/snapshots")
    again.prepare(2, [1], Kind.VIEW)
    [one] = again.mounts(2, [1], Kind.VIEW)
    os.mkdir(f"{place}/seen")
    mount.mount_one(one.source, f"{place}/seen", fstype=one.type, options=one.options)
    found = tree(f"{place}/seen")
    found.pop("lost+found/", None)
    assert found == files
