"""Deleting trees that strangers made."""

from __future__ import annotations

import errno
import os

import pytest

from actors.snapshot.removal import remove_tree
from linux import descriptors, mount


def test_a_missing_tree_is_no_error(root: str) -> None:
    remove_tree(f"{root}/none")


def test_files_links_devices_and_directories_go(root: str) -> None:
    tree = f"{root}/tree"
    os.makedirs(f"{tree}/a/b/c")
    with open(f"{root}/outside", "w") as outside:
        outside.write("stays")
    os.symlink(f"{root}/outside", f"{tree}/a/link")
    os.symlink(root, f"{tree}/a/directory-link")
    os.mkfifo(f"{tree}/a/b/fifo")
    os.mknod(f"{tree}/a/b/whiteout", 0o020000, os.makedev(0, 0))
    os.mkdir(f"{tree}/a/locked", 0)
    before = descriptors.opened()
    remove_tree(tree)
    assert os.listdir(root) == ["outside"]
    assert descriptors.opened() == before


def test_a_tree_deeper_than_descriptors_and_the_stack_goes(root: str) -> None:
    tree = f"{root}/tree"
    os.mkdir(tree)
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.mkdir(f".deep-{level}", dir_fd=fd)  # the names that removal itself would take
        deeper = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    remove_tree(tree)
    assert os.listdir(root) == []


def test_what_is_mounted_in_the_tree_is_not_touched_and_the_rest_goes(root: str) -> None:
    tree, outside = f"{root}/tree", f"{root}/outside"
    os.makedirs(f"{tree}/mounted")
    os.makedirs(f"{tree}/plain")
    os.mkdir(outside)
    with open(f"{outside}/file", "w") as file:
        file.write("stays")
    mount.mount_one(outside, f"{tree}/mounted", fstype="bind", options=("rbind",))
    try:
        with pytest.raises(OSError, match="mounted") as raised:
            remove_tree(tree)
        assert raised.value.errno == errno.EXDEV
        assert os.listdir(tree) == ["mounted"]
        assert os.listdir(outside) == ["file"]
    finally:
        mount.umount(f"{tree}/mounted")
    remove_tree(tree)
    assert sorted(os.listdir(root)) == ["outside"]
