from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.transfer.unpack import tree
from linux import mount
from linux.descriptors import opened
from tests.support.fork import in_private_mounts


def test_every_kind_of_thing_is_removed_and_nothing_is_followed(shm: str) -> None:
    os.makedirs(f"{shm}/outside/keep")
    os.makedirs(f"{shm}/root/d/e")
    for path in ("root/file", "root/d/file", "root/d/e/file"):
        Path(f"{shm}/{path}").touch()
    os.symlink(f"{shm}/outside", f"{shm}/root/d/link")
    os.symlink("missing", f"{shm}/root/dangling")
    os.mkfifo(f"{shm}/root/fifo")
    fd = os.open(f"{shm}/root", os.O_PATH)
    for name in os.listdir(f"{shm}/root"):
        tree.remove(name.encode(), dir_fd=fd)
    os.close(fd)
    assert os.listdir(f"{shm}/root") == []
    assert os.listdir(f"{shm}/outside") == ["keep"]


def test_nothing_there_is_no_error(shm: str) -> None:
    fd = os.open(shm, os.O_PATH)
    tree.remove(b"absent", dir_fd=fd)
    os.close(fd)


def test_a_tree_deeper_than_any_path_is_removed_with_two_descriptors(shm: str) -> None:
    fd = os.open(shm, os.O_RDONLY)
    root = os.dup(fd)
    for _ in range(6000):
        os.mkdir("deep", dir_fd=fd)
        Path(f"/proc/self/fd/{fd}/file").touch()
        inner = os.open("deep", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    before = opened()
    tree.remove(b"deep", dir_fd=root)
    assert opened() == before
    assert os.listdir(root) == ["file"]
    os.close(root)


def test_names_that_look_like_its_own_do_not_confuse_it(shm: str) -> None:
    for number in range(5):
        os.makedirs(f"{shm}/top/.removed-{number}/x/.removed-{number + 1}/y")
    fd = os.open(shm, os.O_PATH)
    tree.remove(b"top", dir_fd=fd)
    os.close(fd)
    assert os.listdir(shm) == []


def test_what_cannot_be_removed_is_an_error(shm: str) -> None:
    fd = os.open("/proc", os.O_PATH)
    with pytest.raises(PermissionError):
        tree.remove(b"version", dir_fd=fd)
    os.close(fd)


@pytest.mark.parametrize("depth", [1, 3, 200])
def test_directories_that_cannot_be_moved_are_emptied_where_they_stand(shm: str, depth: int) -> None:
    def run() -> None:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{shm}/{name}")
        deep = f"{shm}/lower/d/" + "/".join(["x"] * depth)
        for branch in ("", "-other"):
            os.makedirs(deep + branch)
            Path(f"{deep}{branch}/file").write_bytes(b"")
        options = f"lowerdir={shm}/lower,upperdir={shm}/upper,workdir={shm}/work"
        mount.mount("overlay", f"{shm}/merged", fstype="overlay", data=options)
        os.makedirs(f"{shm}/merged/d/new/deep")
        root = os.open(f"{shm}/merged", os.O_RDONLY)
        descriptors = len(os.listdir("/proc/self/fd"))
        tree.remove(b"d", dir_fd=root)
        assert os.listdir(f"{shm}/merged") == []
        assert len(os.listdir("/proc/self/fd")) == descriptors
        os.close(root)

    in_private_mounts(run)
