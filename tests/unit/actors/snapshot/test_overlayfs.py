"""The overlayfs back-end by itself: its mounts as data, its directories, and where it cannot work."""

from __future__ import annotations

import os
import stat

import pytest

from actors.plugins.context import SkipPlugin
from actors.snapshot.overlayfs import Overlayfs
from linux import mount, mountinfo
from wharfie.errors import DataLoss
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind


def bind(source: str, access: str) -> list[Mount]:
    return [Mount(type="bind", source=source, options=[access, "rbind"])]


def see(mounts: list[Mount], place: str) -> None:
    mount.mount_all([(m.type, m.source, m.target, tuple(m.options)) for m in mounts], root=place)


def test_mounts_are_containerds(root: str) -> None:
    backend = Overlayfs(root)
    assert backend.mounts(1, [], Kind.ACTIVE) == bind(f"{root}/1/fs", "rw")
    assert backend.mounts(1, [], Kind.VIEW) == bind(f"{root}/1/fs", "ro")
    assert backend.mounts(2, [1], Kind.VIEW) == bind(f"{root}/1/fs", "ro")
    [active] = backend.mounts(3, [2, 1], Kind.ACTIVE)
    assert (active.type, active.source) == ("overlay", "overlay")
    assert active.options == [
        "index=off",
        f"workdir={root}/3/work",
        f"upperdir={root}/3/fs",
        f"lowerdir={root}/2/fs:{root}/1/fs",
    ]
    [view] = backend.mounts(3, [2, 1], Kind.VIEW)
    assert view.options == ["index=off", f"lowerdir={root}/2/fs:{root}/1/fs"]


def test_mount_options_of_the_configuration_are_added(root: str) -> None:
    [active] = Overlayfs(root, mount_options=["volatile"]).mounts(2, [1], Kind.ACTIVE)
    assert active.options[:2] == ["index=off", "volatile"]


def test_a_root_with_a_colon_in_its_name_can_be_mounted(root: str) -> None:
    backend = Overlayfs(f"{root}/a:b")
    for number, parents in ((1, []), (2, [1]), (3, [2, 1])):
        backend.prepare(number, parents, Kind.ACTIVE)
        with open(f"{root}/a:b/{number}/fs/{number}", "w"):
            pass
    place = f"{root}/place"
    os.mkdir(place)
    see(backend.mounts(3, [2, 1], Kind.ACTIVE), place)
    try:
        assert sorted(os.listdir(place)) == ["1", "2", "3"]
    finally:
        mount.umount(place)


def test_prepare_makes_directories_with_their_modes_whatever_the_umask_is(root: str) -> None:
    backend = Overlayfs(root)
    before = os.umask(0o077)
    try:
        backend.prepare(1, [], Kind.ACTIVE)
        backend.prepare(2, [], Kind.VIEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(f"{root}/1").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(f"{root}/1/fs").st_mode) == 0o755
    assert sorted(os.listdir(f"{root}/1")) == ["fs", "work"]
    assert os.listdir(f"{root}/2") == ["fs"]


def test_a_parent_whose_directory_is_gone_is_told(root: str) -> None:
    backend = Overlayfs(root)
    with pytest.raises(DataLoss, match="number 7"):
        backend.prepare(8, [7], Kind.ACTIVE)
    assert os.listdir(root) == []


def test_trying_overlay_leaves_nothing_and_can_be_done_again(root: str) -> None:
    Overlayfs(root)
    Overlayfs(root)
    assert os.listdir(root) == []


def test_a_file_system_that_overlay_cannot_write_to_is_skipped_with_the_reason(root: str) -> None:
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{root}/{name}")
    data = f"lowerdir={root}/lower,upperdir={root}/upper,workdir={root}/work"
    mount.mount("overlay", f"{root}/merged", fstype="overlay", data=data)
    try:
        # An overlay cannot be the upper layer of another one.
        with pytest.raises(SkipPlugin, match="overlay cannot be mounted"):
            Overlayfs(f"{root}/merged/snapshots")
        assert os.listdir(f"{root}/merged/snapshots") == []
    finally:
        mount.umount(f"{root}/merged")


@pytest.mark.parametrize("name", ["with,comma", "with\\backslash"])
def test_a_root_that_cannot_be_quoted_is_skipped_with_the_reason(root: str, name: str) -> None:
    with pytest.raises(SkipPlugin, match="in its name"):
        Overlayfs(f"{root}/{name}")


def test_what_a_killed_process_had_mounted_for_a_moment_is_unmounted_by_the_next_one(root: str) -> None:
    Overlayfs(root)
    left = f"{root}/new-trial-1/merged"
    os.makedirs(left)
    mount.mount("left", left, fstype="tmpfs")
    Overlayfs(root)
    assert not mountinfo.beneath(mountinfo.read(), root)
