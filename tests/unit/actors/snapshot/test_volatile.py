"""Overlay mounts without syncs: they can be repeated within a boot, and are refused after another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from actors.snapshot.overlayfs import Overlayfs
from actors.snapshot.volatile import MARK
from linux import mount
from wharfie.errors import DataLoss
from wharfie.types.snapshots import Kind


@pytest.fixture
def place(root: str) -> Iterator[str]:
    os.mkdir(f"{root}/place")
    yield f"{root}/place"
    mount.unmount_beneath(f"{root}/place")


@pytest.fixture
def backend(root: str) -> Overlayfs:
    backend = Overlayfs(f"{root}/snapshots", mount_options=["volatile"])
    backend.prepare(1, [], Kind.ACTIVE)
    backend.commit(1)
    backend.prepare(2, [1], Kind.ACTIVE)
    return backend


def use(backend: Overlayfs, place: str, name: str) -> None:
    [one] = backend.mounts(2, [1], Kind.ACTIVE)
    mount.mount_one(one.source, place, fstype=one.type, options=one.options)
    with open(f"{place}/{name}", "w"):
        pass
    mount.umount(place)


def test_it_can_be_mounted_again_in_the_same_boot(backend: Overlayfs, place: str) -> None:
    use(backend, place, "first")
    with pytest.raises(OSError, match="Invalid argument"):
        use(backend, place, "refused by the kernel")
    backend.prepare(2, [1], Kind.ACTIVE)
    use(backend, place, "second")
    backend.prepare(2, [1], Kind.ACTIVE)
    backend.prepare(2, [1], Kind.ACTIVE)
    assert sorted(os.listdir(backend.files(2))) == ["first", "second"]


def test_after_another_boot_it_is_lost_and_said_so(backend: Overlayfs, place: str) -> None:
    use(backend, place, "first")
    boot = f"{backend.directories.path(2)}/boot"
    os.unlink(boot)
    os.symlink("another", boot)
    with pytest.raises(DataLoss, match="incompat/volatile"):
        backend.prepare(2, [1], Kind.ACTIVE)
    # Its owner may decide otherwise.
    shutil.rmtree(f"{backend.directories.path(2)}/{MARK}")
    backend.prepare(2, [1], Kind.ACTIVE)
    use(backend, place, "second")


def test_after_another_boot_it_is_lost_also_when_its_mounts_were_asked_for_while_it_was_mounted(
    backend: Overlayfs, place: str
) -> None:
    [one] = backend.mounts(2, [1], Kind.ACTIVE)
    mount.mount_one(one.source, place, fstype=one.type, options=one.options)
    backend.prepare(2, [1], Kind.ACTIVE)
    mount.umount(place)
    boot = f"{backend.directories.path(2)}/boot"
    assert os.readlink(boot).endswith(" used")
    os.unlink(boot)
    os.symlink("another used", boot)
    with pytest.raises(DataLoss, match="volatile"):
        backend.prepare(2, [1], Kind.ACTIVE)
    os.unlink(boot)
    backend.prepare(2, [1], Kind.ACTIVE)


def test_what_was_never_mounted_survives_another_boot(backend: Overlayfs, place: str) -> None:
    boot = f"{backend.directories.path(2)}/boot"
    os.unlink(boot)
    os.symlink("another", boot)
    backend.prepare(2, [1], Kind.ACTIVE)
    use(backend, place, "first")
    backend.prepare(2, [1], Kind.ACTIVE)
    use(backend, place, "second")
