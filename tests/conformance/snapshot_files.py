"""The cases of a snapshotter that are about files, seen through real mounts."""

from __future__ import annotations

import errno
import os
import shutil
import stat

import pytest

from tests.conformance.snapshotter import Snapshotter, put, tree, write
from wharfie import FailedPrecondition, InvalidArgument, NotFound


def a_file_changed_in_a_layer(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"d/f": "one", "same": "same"}))
    sn.layer("two", "one", put({"d/f": "two and longer"}))
    sn.layer("three", "two", put({"d/f": "3"}))
    assert sn.files("one") == {"d/": "", "d/f": "one", "same": "same"}
    assert sn.files("two") == {"d/": "", "d/f": "two and longer", "same": "same"}
    assert sn.files("three") == {"d/": "", "d/f": "3", "same": "same"}


def a_directory_removed_in_a_layer(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"gone/a/b": "b", "stays": "s"}))
    sn.layer("two", "one", lambda root: shutil.rmtree(f"{root}/gone"))
    assert sn.files("two") == {"stays": "s"}

    def again(root: str) -> None:
        write(f"{root}/gone/new", "n")

    sn.layer("three", "two", again)
    assert sn.files("three") == {"stays": "s", "gone/": "", "gone/new": "n"}
    assert sn.files("one") == {"gone/": "", "gone/a/": "", "gone/a/b": "b", "stays": "s"}


def an_owner_changed_in_a_layer(sn: Snapshotter) -> None:
    def one(root: str) -> None:
        write(f"{root}/opt/a", "a")
        os.chown(f"{root}/opt", 1, 1)
        os.chown(f"{root}/opt/a", 1, 1)

    def two(root: str) -> None:
        os.chown(f"{root}/opt", 2, 2)
        os.chown(f"{root}/opt/a", 2, 2)

    sn.layer("one", "", one)
    sn.layer("two", "one", two)
    for parent, owner in (("one", 1), ("two", 2)):
        with sn.seen(sn.view(f"look-{parent}", parent)) as root:
            for name in ("opt", "opt/a"):
                status = os.stat(f"{root}/{name}")
                assert (status.st_uid, status.st_gid) == (owner, owner)


def modes_of_directories_survive_commits(sn: Snapshotter) -> None:
    modes = {"open": 0o777, "sticky": 0o1777, "closed": 0o700, "group": 0o2750}

    def one(root: str) -> None:
        for name in modes:
            os.mkdir(f"{root}/{name}")

    def two(root: str) -> None:
        for owner, (name, mode) in enumerate(modes.items()):
            os.chown(f"{root}/{name}", owner, owner + 1)
            os.chmod(f"{root}/{name}", mode)

    sn.layer("one", "", one)
    sn.layer("two", "one", two)
    sn.layer("three", "two", put({"open/file": ""}))
    with sn.seen(sn.view("look", "three")) as root:
        for owner, (name, mode) in enumerate(modes.items()):
            status = os.stat(f"{root}/{name}")
            assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, owner, owner + 1)


def mode_and_owner_of_the_root_survive_commits(sn: Snapshotter) -> None:
    with sn.seen(sn.prepare("fresh")) as root:
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o755

    def change(root: str) -> None:
        os.chown(root, 3, 4)
        os.chmod(root, 0o1711)

    sn.layer("one", "", change)
    sn.layer("two", "one", put({"f": "f"}))
    for mounts in (sn.prepare("active", "two"), sn.view("look", "two"), sn.view("look-one", "one")):
        with sn.seen(mounts) as root:
            status = os.stat(root)
            assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o1711, 3, 4)


def a_deletion_in_one_child_is_not_seen_in_another(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"a": "a", "b": "b"}))
    sn.layer("left", "base", lambda root: os.unlink(f"{root}/a"))
    sn.layer("right", "base", lambda root: os.unlink(f"{root}/b"))
    assert sn.files("left") == {"b": "b"}
    assert sn.files("right") == {"a": "a"}
    assert sn.files("base") == {"a": "a", "b": "b"}


def a_file_moved_from_a_lower_layer(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"dir1/f1": "f1"}))

    def move(root: str) -> None:
        os.mkdir(f"{root}/dir2")
        os.rename(f"{root}/dir1/f1", f"{root}/dir2/f2")

    sn.layer("two", "one", move)
    assert sn.files("two") == {"dir1/": "", "dir2/": "", "dir2/f2": "f1"}
    assert sn.files("one") == {"dir1/": "", "dir1/f1": "f1"}


def a_directory_moved_from_a_lower_layer(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"dir1/f1": "f1"}))
    if not sn.renames_directories:
        with sn.seen(sn.prepare("two", "one")) as root, pytest.raises(OSError, match="cross-device") as raised:
            os.rename(f"{root}/dir1", f"{root}/dir2")
        assert raised.value.errno == errno.EXDEV
        return
    sn.layer("two", "one", lambda root: os.rename(f"{root}/dir1", f"{root}/dir2"))
    assert sn.files("two") == {"dir2/": "", "dir2/f1": "f1"}


def a_view_cannot_be_written(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"f": "f"}))
    sn.layer("two", "one", put({"g": "g"}))
    for parent in ("", "one", "two"):
        with sn.seen(sn.view(f"look-{parent}", parent)) as root:
            with pytest.raises(OSError, match="Read-only") as raised:
                write(f"{root}/new", "no")
            assert raised.value.errno == errno.EROFS


def removing_an_intermediate_snapshot(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"b": "b"}))
    sn.layer("middle", "base", put({"m": "m"}))
    with sn.seen(sn.prepare("top", "middle")) as root:
        write(f"{root}/t", "t")
    with pytest.raises(FailedPrecondition):
        sn.remove("middle")
    sn.remove("top")
    sn.remove("middle")
    assert sn.files("base") == {"b": "b"}


def many_layers(sn: Snapshotter) -> None:
    parent = ""
    for number in range(1, 129):

        def change(root: str, number: int = number) -> None:
            write(f"{root}/top", str(number))
            write(f"{root}/files/{number}", str(number))
            if number > 1:
                os.unlink(f"{root}/files/{number - 1}")

        parent = sn.layer(f"layer-{number:03}", parent, change)
    assert sn.files(parent) == {"top": "128", "files/": "", "files/128": "128"}
    with sn.seen(sn.prepare("active", parent)) as root:
        write(f"{root}/top", "above")
        assert tree(root) == {"top": "above", "files/": "", "files/128": "128"}


def rebase_at_the_commit(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"b": "b", "d/x": "x"}))
    with sn.seen(sn.prepare("loose")) as root:
        write(f"{root}/d/y", "y")
    with pytest.raises(NotFound):
        sn.commit("stacked", "loose", parent="nobody")
    with pytest.raises(FailedPrecondition):
        sn.prepare("active", "base")
        sn.commit("stacked", "loose", parent="active")
    sn.commit("stacked", "loose", parent="base")
    assert sn.stat("stacked").parent == "base"
    assert sn.files("stacked") == {"b": "b", "d/": "", "d/x": "x", "d/y": "y"}
    with pytest.raises(InvalidArgument):
        sn.layer("other", "", put({"o": "o"}))
        sn.commit("again", "active", parent="other")


SUITE = (
    a_file_changed_in_a_layer,
    a_directory_removed_in_a_layer,
    an_owner_changed_in_a_layer,
    modes_of_directories_survive_commits,
    mode_and_owner_of_the_root_survive_commits,
    a_deletion_in_one_child_is_not_seen_in_another,
    a_file_moved_from_a_lower_layer,
    a_directory_moved_from_a_lower_layer,
    a_view_cannot_be_written,
    removing_an_intermediate_snapshot,
    many_layers,
)
"""What every snapshotter does."""

REBASING = (rebase_at_the_commit,)
"""What those do that can put a snapshot on a parent at its commit."""
