"""The upper directory of a real overlay tells the same as both trees looked at whole, byte for byte."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.snapshot.copytree import copy_tree
from actors.transfer.diff.compare import NeedsMergedView
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import mount
from tests.support import trees
from tests.support.fork import in_private_mounts

TRUSTED = "trusted.overlay."
PLAN: trees.Plant = {"a/x": b"x", "a/b/y": b"y", "a/b/z": b"z", "c": b"c", "d/e": b"e", "l": "a", "m": b"m"}

names = st.sampled_from(["a", "a/b", "a/x", "a/b/y", "a/new", "c", "d", "d/e", "d/n", "l", "m", "n", "n/o"])
steps = st.tuples(
    st.sampled_from(["write", "remove", "mkdir", "link", "symlink", "chmod", "touch", "rename"]), names, names
)


def do(root: str, step: tuple[str, str, str]) -> None:
    """One thing that a container may do; what cannot be done is not done."""
    verb, name, other = step
    path = f"{root}/{name}"
    with contextlib.suppress(OSError):
        match verb:
            case "write":
                with open(path, "wb") as file:
                    file.write(other.encode())
            case "remove":
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            case "mkdir":
                os.mkdir(path)
            case "link":
                os.link(path, f"{root}/{other}", follow_symlinks=False)
            case "symlink":
                os.symlink(other, path)
            case "chmod":
                os.chmod(path, 0o711)
            case "touch":
                os.close(os.open(path, os.O_RDWR))
            case "rename":
                os.rename(path, f"{root}/{other}")


def do_all(root: str, work: list[tuple[str, str, str]]) -> None:
    for step in work:
        do(root, step)


def in_overlay(shm: str, work: Callable[[str], None], check: Callable[[str, str, str], None]) -> None:
    """Mount an overlay, have `work` change it, and have `check` look at lower, upper and merged directories."""

    def run() -> None:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{shm}/{name}")
        trees.grow(f"{shm}/lower", PLAN)
        options = f"lowerdir={shm}/lower,upperdir={shm}/upper,workdir={shm}/work,index=off"
        mount.mount("overlay", f"{shm}/merged", fstype="overlay", data=options)
        work(f"{shm}/merged")
        mount.umount(f"{shm}/merged")
        mount.mount("overlay", f"{shm}/merged", fstype="overlay", data=f"lowerdir={shm}/upper:{shm}/lower")
        check(f"{shm}/lower", f"{shm}/upper", f"{shm}/merged")

    in_private_mounts(run)


def tells_the_same(lower: str, upper: str, merged: str) -> None:
    assert trees.changes(lower, upper, overlay=TRUSTED) == trees.changes(lower, merged)
    blob, _ = made = trees.layer(lower, upper, overlay=TRUSTED)
    assert made == trees.layer(lower, merged)
    comes_back(blob, lower, merged)


def comes_back(blob: bytes, lower: str, merged: str) -> None:
    """The layer makes the tree that it was made of: below an overlay, and on a copy of the tree before."""
    shm = os.path.dirname(lower)
    with open(f"{shm}/blob", "wb") as file:
        file.write(blob)
    os.mkdir(f"{shm}/again")
    unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=f"{shm}/again", whiteouts=Whiteouts.OVERLAY))
    copy_tree(lower, f"{shm}/copy")
    unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=f"{shm}/copy", whiteouts=Whiteouts.PLAIN))
    os.mkdir(f"{shm}/shown")
    mount.mount("overlay", f"{shm}/shown", fstype="overlay", data=f"lowerdir={shm}/again:{lower}")
    expected = untimed(trees.described(merged))
    assert untimed(trees.described(f"{shm}/shown")) == expected
    assert untimed(trees.described(f"{shm}/copy")) == expected


def untimed(tree: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Without the times of directories: one whose only change is what is in it has the time of that."""
    return {path: facts[:5] + facts[6:] if facts[0] == stat.S_IFDIR else facts for path, facts in tree.items()}


@given(work=st.lists(steps, max_size=10))
@settings(max_examples=60, deadline=None)
def test_the_upper_directory_tells_the_same_as_both_trees(work: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="wharfie-diff-", dir="/dev/shm") as shm:
        in_overlay(shm, lambda root: do_all(root, work), tells_the_same)


def test_a_file_that_was_only_opened_for_writing_is_no_change(shm: str) -> None:
    def check(lower: str, upper: str, merged: str) -> None:
        assert os.listdir(upper) == ["c"]
        assert trees.changes(lower, upper, overlay=TRUSTED) == []
        assert trees.layer(lower, upper, overlay=TRUSTED)[0] == bytes(1024)

    in_overlay(shm, lambda root: do(root, ("touch", "c", "")), check)


def test_a_directory_made_anew_is_the_deletions_that_it_stands_for(shm: str) -> None:
    def work(root: str) -> None:
        shutil.rmtree(f"{root}/a")
        trees.grow(root, {"a/fresh": b""})

    def check(lower: str, upper: str, merged: str) -> None:
        assert os.getxattr(f"{upper}/a", f"{TRUSTED}opaque") == b"y"
        assert trees.changes(lower, upper, overlay=TRUSTED) == [
            ("C", "a"),
            ("D", "a/b"),
            ("A", "a/fresh"),
            ("D", "a/x"),
        ]
        tells_the_same(lower, upper, merged)

    in_overlay(shm, work, check)


@pytest.mark.parametrize(("path", "attribute"), [("a", "redirect"), ("c", "metacopy")])
def test_an_upper_directory_that_does_not_tell_by_itself_says_so(shm: str, path: str, attribute: str) -> None:
    def check(lower: str, upper: str, merged: str) -> None:
        os.setxattr(f"{upper}/{path}", TRUSTED + attribute, b"/d")
        with pytest.raises(NeedsMergedView):
            trees.changes(lower, upper, overlay=TRUSTED)

    in_overlay(shm, lambda root: do_all(root, [("chmod", "a", ""), ("chmod", "c", "")]), check)
