"""Counting bytes and inodes as du does."""

from __future__ import annotations

import os
import subprocess

from actors.snapshot.diskusage import measure, measure_few
from wharfie.types.snapshots import Usage


def test_an_empty_directory_is_one_inode(root: str) -> None:
    assert measure(root) == Usage(size=0, inodes=1)


def test_hard_links_count_once_and_holes_do_not(root: str) -> None:
    with open(f"{root}/file", "wb") as file:
        file.write(b"x" * 5000)
    os.link(f"{root}/file", f"{root}/again")
    os.mkdir(f"{root}/directory")
    os.link(f"{root}/file", f"{root}/directory/third")
    with open(f"{root}/sparse", "wb") as sparse:
        sparse.truncate(1 << 30)
    os.symlink("file", f"{root}/link")
    assert measure(root) == Usage(size=8192, inodes=5)


def test_it_agrees_with_du_on_a_real_tree(root: str) -> None:
    subprocess.run(["cp", "-a", "/usr/share/perl5", root], check=True)
    said = subprocess.run(["du", "-s", "-B1", root], check=True, capture_output=True, text=True).stdout.split()[0]
    counted = subprocess.run(["du", "-s", "--inodes", root], check=True, capture_output=True, text=True).stdout
    assert measure(root) == Usage(size=int(said), inodes=int(counted.split()[0]))


def test_a_path_of_full_length_is_measured(root: str) -> None:
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    path = "/".join(["d" * 200] * 20)
    for end in range(1, 21):
        os.mkdir("/".join(path.split("/")[:end]), dir_fd=top)
    os.close(top)
    assert len(root) + len(path) > 4020
    assert measure(root).inodes == 21
    subprocess.run(["rm", "-rf", f"{root}/{'d' * 200}"], check=True)


def test_a_few_files_are_measured_alike_at_once_and_anything_more_is_not(root: str) -> None:
    assert measure_few(root, at_most=3) == measure(root)
    for number in range(2):
        with open(f"{root}/{number}", "wb") as file:
            file.write(b"x" * 5000)
    assert measure_few(root, at_most=3) == measure(root)
    os.symlink("0", f"{root}/link")
    assert measure_few(root, at_most=3) is None
    os.unlink(f"{root}/link")
    os.link(f"{root}/0", f"{root}/again")
    assert measure_few(root, at_most=9) is None
    os.unlink(f"{root}/again")
    os.mkdir(f"{root}/directory")
    assert measure_few(root, at_most=9) is None
