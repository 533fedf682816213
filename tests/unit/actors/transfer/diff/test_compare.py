"""What differs between two trees, looked at whole; the cases are those of containerd's differ."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable

import pytest

from tests.support import trees

Change = Callable[[str], None]

CAP = bytes.fromhex("0100000200200000000000000000000000000000")


def write(path: str, data: bytes) -> Change:
    def change(root: str) -> None:
        with open(f"{root}/{path}", "wb") as file:
            file.write(data)

    return change


def same_time_other_data(root: str) -> None:
    with open(f"{root}/d/vague", "wb") as file:
        file.write(b"DATA")
    os.utime(f"{root}/d/vague", ns=(10**18, 10**18))


def renamed_over(root: str) -> None:
    os.rename(f"{root}/d/g", f"{root}/d/f")


def replace_file_by_directory(root: str) -> None:
    os.unlink(f"{root}/d/f")
    trees.grow(f"{root}/d/f", {"x": b""})


def replace_directory_by_link(root: str) -> None:
    shutil.rmtree(f"{root}/d")
    os.symlink("e", f"{root}/d")


def retarget(root: str) -> None:
    os.unlink(f"{root}/l")
    os.symlink("F", f"{root}/l")
    os.utime(f"{root}/l", ns=(trees.TIME_NS, trees.TIME_NS), follow_symlinks=False)


def new_name(root: str) -> None:
    os.link(f"{root}/d/f", f"{root}/e/other")


def another_device(root: str) -> None:
    os.unlink(f"{root}/n")
    os.mknod(f"{root}/n", stat.S_IFCHR | 0o600, os.makedev(1, 5))


def whiteout(root: str) -> None:
    os.unlink(f"{root}/d/f")
    os.mknod(f"{root}/d/f", stat.S_IFCHR | 0o600, os.makedev(0, 0))


CASES: dict[str, tuple[Change, list[tuple[str, str]]]] = {
    "nothing": (lambda root: None, []),
    "only read": (lambda root: os.listdir(f"{root}/d").clear(), []),
    "a new file and its directory": (write("d/new", b"x"), [("C", "d"), ("A", "d/new")]),
    "a changed file": (write("d/f", b"y"), [("C", "d"), ("C", "d/f")]),
    "a deeper file names all above it": (
        write("e/sub/deep", b"y"),
        [("C", "e"), ("C", "e/sub"), ("A", "e/sub/deep")],
    ),
    "other data with a time that tells nothing": (same_time_other_data, [("C", "d"), ("C", "d/vague")]),
    "another file of the same size and time": (renamed_over, [("C", "d"), ("C", "d/f"), ("D", "d/g")]),
    "a mode": (lambda root: os.chmod(f"{root}/d/f", 0o4711), [("C", "d"), ("C", "d/f")]),
    "an owner": (lambda root: os.chown(f"{root}/d/f", 5, 6), [("C", "d"), ("C", "d/f")]),
    "a directory's mode": (lambda root: os.chmod(f"{root}/d", 0o700), [("C", "d")]),
    "an attribute": (lambda root: os.setxattr(f"{root}/d/f", "security.capability", CAP), [("C", "d"), ("C", "d/f")]),
    "an attribute that is no layer's": (lambda root: os.setxattr(f"{root}/d/f", "trusted.x", b"1"), []),
    "a time": (lambda root: os.utime(f"{root}/d/f", ns=(0, 1)), [("C", "d"), ("C", "d/f")]),
    "a directory's time alone": (lambda root: os.utime(f"{root}/d", ns=(0, 1)), []),
    "a deletion": (lambda root: os.unlink(f"{root}/d/f"), [("C", "d"), ("D", "d/f")]),
    "a directory's deletion names it alone": (lambda root: shutil.rmtree(f"{root}/d"), [("D", "d")]),
    "a file becomes a directory": (replace_file_by_directory, [("C", "d"), ("C", "d/f"), ("A", "d/f/x")]),
    "a directory becomes a link": (replace_directory_by_link, [("C", "d")]),
    "a link leads elsewhere": (retarget, [("C", "l")]),
    "a new name brings the old one along": (
        new_name,
        [("C", "d"), ("C", "d/f"), ("C", "e"), ("A", "e/other")],
    ),
    "a pipe": (lambda root: os.mkfifo(f"{root}/d/p"), [("C", "d"), ("A", "d/p")]),
    "a device that means a deletion": (whiteout, [("C", "d"), ("D", "d/f")]),
    "a device of another number": (
        another_device,
        [("C", "n")],
    ),
}


@pytest.fixture
def pair(lower: str, upper: str) -> tuple[str, str]:
    """Two trees that are the same."""
    for root in (lower, upper):
        trees.grow(root, {"d/f": b"x", "d/g": b"g", "d/vague": b"data", "e/sub": None, "l": "d", "n": stat.S_IFCHR})
        os.utime(f"{root}/d/vague", ns=(10**18, 10**18))
    return lower, upper


@pytest.mark.parametrize("case", CASES)
def test_differences_are_found(pair: tuple[str, str], case: str) -> None:
    change, expected = CASES[case]
    change(pair[1])
    assert trees.changes(*pair) == expected


def test_against_nothing_everything_is_new(pair: tuple[str, str]) -> None:
    found = trees.changes(None, pair[1])
    assert found == [("A", path) for path in ("d", "d/f", "d/g", "d/vague", "e", "e/sub", "l", "n")]


def test_the_root_itself_is_no_change(pair: tuple[str, str]) -> None:
    os.chmod(pair[1], 0o700)
    assert trees.changes(*pair) == []


def test_sockets_are_left_out(pair: tuple[str, str]) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{pair[1]}/d/socket")
        assert trees.changes(*pair) == []


def test_a_directory_stands_before_what_is_in_it_and_that_before_its_neighbour(lower: str, upper: str) -> None:
    trees.grow(upper, {"a/z": b"", "a.b": b"", "a-": b"", "a/b/c": b""})
    assert [path for _, path in trees.changes(lower, upper)] == ["a", "a/b", "a/b/c", "a/z", "a-", "a.b"]


def test_links_are_never_followed(pair: tuple[str, str], shm: str) -> None:
    trees.grow(f"{shm}/outside", {"secret": b"x"})
    for root in pair:
        os.symlink(f"{shm}/outside", f"{root}/out")
        os.utime(f"{root}/out", ns=(0, 0), follow_symlinks=False)
    assert trees.changes(*pair) == []
