"""Where entries land: parents that are missing, links on the way, names of every shape."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from actors.transfer.unpack.directories import KEPT
from actors.transfer.unpack.errors import UnpackError
from tests.support import tars
from wharfie.errors import Code

from .conftest import Unpack


def status(path: str) -> os.stat_result:
    return os.stat(path, follow_symlinks=False)


def mode(path: str) -> int:
    return stat.S_IMODE(status(path).st_mode)


def test_missing_parents_are_made_for_root_and_told(unpack: Unpack, target: str) -> None:
    result = unpack(
        tars.tar([tars.file("a/b/c/f", uid=5), tars.directory("a/b", mode=0o700, uid=5), tars.symlink("x/l", "y")])
    )
    assert result.implicit_dirs == [b"a", b"a/b/c", b"x"]
    for name in ("a", "a/b/c", "x"):
        found = status(f"{target}/{name}")
        assert (mode(f"{target}/{name}"), found.st_uid, found.st_gid) == (0o755, 0, 0)
    assert (mode(f"{target}/a/b"), status(f"{target}/a/b").st_uid) == (0o700, 5)


def test_an_implicit_directory_that_is_replaced_is_not_told(unpack: Unpack) -> None:
    content = [tars.file("a/b/f"), tars.file("c/d/f"), tars.file("a"), tars.symlink("c/d", "x")]
    assert unpack(tars.tar(content)).implicit_dirs == [b"c"]


def test_a_file_in_the_way_of_a_parent_is_refused_by_name(unpack: Unpack) -> None:
    with pytest.raises(UnpackError, match="'a' of the layer is no directory") as caught:
        unpack(tars.tar([tars.file("a"), tars.file("a/b")]))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_parents_are_found_through_symbolic_links_inside_the_root(unpack: Unpack, target: str) -> None:
    content = [
        tars.directory("usr/bin"),
        tars.symlink("bin", "usr/bin"),
        tars.symlink("abs", "/usr"),
        tars.symlink("dangling", "/made/by/need"),
        tars.symlink("up", "../../../usr/./bin/.."),
        tars.file("bin/a"),
        tars.file("abs/b"),
        tars.file("dangling/c"),
        tars.file("up/d/e"),
    ]
    result = unpack(tars.tar(content))
    for path in ("usr/bin/a", "usr/b", "made/by/need/c", "usr/d/e"):
        assert os.path.exists(f"{target}/{path}"), path
    assert result.implicit_dirs == [b"made", b"made/by", b"made/by/need", b"usr", b"usr/d"]


def test_links_that_go_in_circles_are_refused(unpack: Unpack) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(tars.tar([tars.symlink("a", "b"), tars.symlink("b", "a"), tars.file("a/f")]))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_parent_is_looked_up_anew_when_its_link_is_replaced(unpack: Unpack, target: str) -> None:
    content = [
        tars.directory("one"),
        tars.directory("two"),
        tars.symlink("l", "one"),
        tars.file("l/a"),
        tars.symlink("l", "two"),
        tars.file("l/b"),
        tars.directory("l"),
        tars.file("l/c"),
    ]
    unpack(tars.tar(content))
    assert [os.listdir(f"{target}/{name}") for name in ("one", "two", "l")] == [["a"], ["b"], ["c"]]


def test_the_root_itself_is_left_alone(unpack: Unpack, target: str) -> None:
    os.chmod(target, 0o755)
    unpack(tars.tar([tars.directory("./", mode=0o700, uid=9), tars.directory("/", mode=0o700), tars.file("..", b"x")]))
    assert (mode(target), status(target).st_uid, os.listdir(target)) == (0o755, os.geteuid(), [])


def test_names_need_not_be_text(unpack: Unpack, target: str) -> None:
    name = b"d\xff/\xfe\n\x01 f"
    result = unpack(tars.raw_file(name, b"x") + tars.header(b"l\xff", typeflag=b"2", link=b"\xff/\xfe"))
    assert Path(os.fsdecode(os.fsencode(target) + b"/" + name)).read_bytes() == b"x"
    assert os.readlink(os.fsencode(target) + b"/l\xff") == b"\xff/\xfe"
    assert result.implicit_dirs == [b"d\xff"]


@pytest.mark.parametrize("name", [b"x" * 256, b"a/" * 2500 + b"f", b"y" * 300 + b"/f"])
def test_names_that_are_too_long_are_refused(unpack: Unpack, name: bytes) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(tars.pax((b"path", name)) + tars.raw_file(b"f"))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_path_deeper_than_there_are_descriptors_is_fine(unpack: Unpack, target: str) -> None:
    name = b"d/" * (KEPT * 3) + b"f"
    result = unpack(tars.pax((b"path", name)) + tars.raw_file(b"f", b"deep"))
    assert len(result.implicit_dirs) == KEPT * 3
    assert Path(os.fsdecode(os.fsencode(target) + b"/" + name)).read_bytes() == b"deep"


def test_more_directories_than_are_kept_open(unpack: Unpack, target: str) -> None:
    content = [tars.file(f"{number % 700}/{number}", b"%d" % number) for number in range(2100)]
    unpack(tars.tar(content))
    assert Path(f"{target}/699/2099").read_bytes() == b"2099"
    assert len(os.listdir(target)) == 700
