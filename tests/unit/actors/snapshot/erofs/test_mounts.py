"""Images mounted from files and through loop devices, and their directories."""

from __future__ import annotations

import os
import tempfile
import threading

import pytest

from actors.snapshot.erofs import layout
from actors.snapshot.erofs.mounts import ImageMounts, mount_image
from linux import mount, mountinfo
from tests.support.wait import until


def image(path: str) -> str:
    with open(path, "wb") as file:
        file.write(layout.empty_image())
    return path


def sources(place: str) -> list[str]:
    return [entry.source for entry in mountinfo.read() if entry.mountpoint == place]


def backing(device: str) -> str:
    try:
        with open(f"/sys/block/{os.path.basename(device)}/loop/backing_file") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def test_on_tmpfs_a_loop_device_carries_the_image_and_goes_with_the_mount(shm: str) -> None:
    path = image(f"{shm}/image")
    os.mkdir(f"{shm}/place")
    mount_image(path, f"{shm}/place")
    [device] = sources(f"{shm}/place")
    assert backing(device) == path
    mount.umount(f"{shm}/place")
    until(lambda: backing(device) != path)


def test_on_a_disk_the_image_is_mounted_from_its_file_where_the_kernel_can() -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    with tempfile.TemporaryDirectory(prefix="wharfie-erofs-", dir="/var/tmp") as directory:
        path = image(f"{directory}/image")
        os.mkdir(f"{directory}/place")
        mount_image(path, f"{directory}/place")
        try:
            [source] = sources(f"{directory}/place")
            on_disk = os.statvfs(directory).f_fsid != os.statvfs("/dev/shm").f_fsid
            if release >= (6, 12) and on_disk and not source.startswith("/dev/loop"):
                assert source == path
            else:
                assert backing(source) == path
        finally:
            mount.umount(f"{directory}/place")


def test_showing_and_hiding_can_be_repeated(shm: str) -> None:
    path, place = image(f"{shm}/image"), f"{shm}/place"
    mounts = ImageMounts()
    assert mounts.show(path, place)
    assert not mounts.show(path, place)
    assert len(sources(place)) == 1
    for _ in range(2):
        mounts.hide(place)
        assert not os.path.exists(place)
    assert sources(place) == []


def test_an_image_that_somebody_has_open_is_hidden_all_the_same(shm: str) -> None:
    path, place = image(f"{shm}/image"), f"{shm}/place"
    mounts = ImageMounts()
    mounts.show(path, place)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        mounts.hide(place)
        assert not os.path.exists(place)
        assert os.listdir(fd) == []
    finally:
        os.close(fd)


def test_many_at_once_make_one_mount(shm: str) -> None:
    path, place = image(f"{shm}/image"), f"{shm}/place"
    mounts = ImageMounts()
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(mounts.show(path, place))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert len(sources(place)) == 1
    mounts.hide(place)


def test_an_image_that_is_not_there_is_told_and_leaves_no_mount(shm: str) -> None:
    with pytest.raises(FileNotFoundError):
        ImageMounts().show(f"{shm}/image", f"{shm}/place")
    assert sources(f"{shm}/place") == []
