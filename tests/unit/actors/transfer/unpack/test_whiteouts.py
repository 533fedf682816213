from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import mount
from tests.support import tars
from tests.support.fork import in_private_mounts
from wharfie.errors import Code

from .conftest import Unpack

OPAQUE = "trusted.overlay.opaque"


def is_whiteout(path: str) -> bool:
    status = os.stat(path, follow_symlinks=False)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str, name: str = OPAQUE) -> bool:
    return name in os.listxattr(path) and os.getxattr(path, name) == b"y"


@pytest.fixture
def lower(target: str) -> Callable[..., None]:
    """Put files of lower layers into the target."""

    def function(*paths: str) -> None:
        for path in paths:
            os.makedirs(os.path.dirname(f"{target}/{path}"), exist_ok=True)
            Path(f"{target}/{path}").touch()

    return function


def left(target: str) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(directory, name), target)
        for directory, names, files in os.walk(target)
        for name in (*files, *(name for name in names if not os.listdir(os.path.join(directory, name))))
    )


# --- marks for overlayfs


def test_a_whiteout_becomes_a_device_and_an_opaque_directory_an_attribute(unpack: Unpack, target: str) -> None:
    result = unpack(
        tars.tar([tars.file("d/.wh.gone"), tars.directory("o"), tars.file("o/.wh..wh..opq"), tars.file("o/new")])
    )
    assert is_whiteout(f"{target}/d/gone")
    assert is_opaque(f"{target}/o")
    assert not is_opaque(f"{target}/d")
    assert os.listdir(f"{target}/o") == ["new"]
    assert (result.entries, result.implicit_dirs) == (4, [b"d"])


def test_rootless_overlays_have_their_own_attribute(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.directory("o"), tars.file("o/.wh..wh..opq")]), userxattr=True)
    assert is_opaque(f"{target}/o", "user.overlay.opaque")
    assert not is_opaque(f"{target}/o")


@pytest.mark.parametrize("first", [True, False])
def test_a_file_of_the_same_layer_stays_whichever_comes_first(unpack: Unpack, target: str, *, first: bool) -> None:
    content = [tars.file("f", b"new"), tars.file(".wh.f")]
    unpack(tars.tar(content if first else content[::-1]))
    assert Path(f"{target}/f").read_bytes() == b"new"
    assert os.listdir(target) == ["f"]


@pytest.mark.parametrize("first", [True, False])
def test_a_directory_of_the_same_layer_hides_the_lower_one(unpack: Unpack, target: str, *, first: bool) -> None:
    content = [tars.directory("d", mode=0o700), tars.file(".wh.d")]
    unpack(tars.tar([*(content if first else content[::-1]), tars.file("d/f")]))
    assert is_opaque(f"{target}/d")
    assert os.listdir(f"{target}/d") == ["f"]


@pytest.mark.parametrize("first", [True, False])
def test_an_implicit_directory_over_a_whiteout_is_opaque_and_no_lower_layers(
    unpack: Unpack, target: str, *, first: bool
) -> None:
    content = [tars.file("d/e/f"), tars.file(".wh.d")]
    result = unpack(tars.tar(content if first else content[::-1]))
    assert is_opaque(f"{target}/d")
    assert not is_opaque(f"{target}/d/e")
    assert b"d" not in result.implicit_dirs


def test_a_whiteout_twice_is_one(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.file(".wh.a"), tars.file(".wh.a"), tars.file(".wh..wh..opq"), tars.file(".wh..wh..opq")]))
    assert is_whiteout(f"{target}/a")


# --- deletions


def test_a_deletion_takes_what_is_below_and_nothing_else(
    unpack: Unpack, target: str, lower: Callable[..., None]
) -> None:
    lower("a", "ab", "d/x/y", "d/z", "e/f")
    unpack(tars.tar([tars.file(".wh.a"), tars.file(".wh.d"), tars.file("e/.wh.missing")]), whiteouts=Whiteouts.PLAIN)
    assert left(target) == ["ab", "e/f"]


def test_an_opaque_directory_loses_what_lower_layers_have(
    unpack: Unpack, target: str, lower: Callable[..., None]
) -> None:
    lower("d/old", "d/sub/old", "d/sub/deep/old", "other")
    content = [
        tars.file("d/sub/new"),
        tars.file("d/.wh..wh..opq"),
        tars.file("d/later"),
        tars.directory("d/empty"),
    ]
    unpack(tars.tar(content), whiteouts=Whiteouts.PLAIN)
    assert left(target) == ["d/empty", "d/later", "d/sub/new", "other"]


@pytest.mark.parametrize("first", [True, False])
def test_a_deletion_spares_what_the_same_layer_has(
    unpack: Unpack, target: str, lower: Callable[..., None], *, first: bool
) -> None:
    lower("d/old", "d/sub/old", "f")
    content = [tars.file("d/sub/new"), tars.file("f", b"new")]
    deletions = [tars.file(".wh.d"), tars.file(".wh.f")]
    unpack(tars.tar(content + deletions if first else deletions + content), whiteouts=Whiteouts.PLAIN)
    assert left(target) == ["d/sub/new", "f"]
    assert Path(f"{target}/f").read_bytes() == b"new"


def test_a_deletion_of_a_link_spares_where_it_leads(unpack: Unpack, target: str, lower: Callable[..., None]) -> None:
    lower("real/f")
    os.symlink("real", f"{target}/link")
    unpack(tars.tar([tars.file(".wh.link")]), whiteouts=Whiteouts.PLAIN)
    assert left(target) == ["real/f"]


def test_a_directory_that_was_deleted_is_not_found_again_under_its_old_name(
    unpack: Unpack, target: str, lower: Callable[..., None]
) -> None:
    lower("d/old")
    unpack(tars.tar([tars.file("d/.wh.old"), tars.file(".wh.d"), tars.file("d/new")]), whiteouts=Whiteouts.PLAIN)
    assert left(target) == ["d/new"]


# --- both


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
@pytest.mark.parametrize("name", [".wh.", "d/.wh.", ".wh..", ".wh...", "d/.wh..."])
def test_a_whiteout_of_nothing_is_refused(unpack: Unpack, whiteouts: Whiteouts, name: str) -> None:
    with pytest.raises(UnpackError, match="names nothing") as caught:
        unpack(tars.tar([tars.file(name)]), whiteouts=whiteouts)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
def test_what_aufs_kept_for_itself_is_skipped(unpack: Unpack, target: str, whiteouts: Whiteouts) -> None:
    names = [".wh..wh.plnk", ".wh..wh.plnk/123.456", ".wh..wh.aufs", "d/.wh..wh.orph/x", ".wh..wh..opq.d/x"]
    unpack(tars.tar([*(tars.file(name) for name in names), tars.file("kept")]), whiteouts=whiteouts)
    assert os.listdir(target) == ["kept"]


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
def test_a_name_that_only_looks_like_a_whiteout_is_a_file(unpack: Unpack, target: str, whiteouts: Whiteouts) -> None:
    unpack(tars.tar([tars.file("a.wh.b"), tars.file("wh.c"), tars.file(".whd")]), whiteouts=whiteouts)
    assert sorted(os.listdir(target)) == [".whd", "a.wh.b", "wh.c"]


# --- the same layers, deleted and merged by the kernel, are the same tree

paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


@st.composite
def entries(draw: st.DrawFn) -> tars.Member:
    path = draw(paths)
    parent, _, base = path.rpartition("/")
    prefix = f"{parent}/" if parent else ""
    match draw(st.sampled_from("ffddwwo")):
        case "f":
            return tars.file(path, draw(st.binary(min_size=1, max_size=3)))
        case "d":
            return tars.directory(path)
        case "w":
            return tars.file(f"{prefix}.wh.{base}")
        case _:
            # Not of the root, where overlayfs does not look.
            return tars.file(f"{path}/.wh..wh..opq")


def tree(root: str) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for directory, names, files in os.walk(root):
        found |= {os.path.relpath(os.path.join(directory, name), root): None for name in names}
        for name in files:
            path = os.path.join(directory, name)
            # overlayfs lists the whiteouts of a directory that only one layer has, though nothing is found there.
            if not os.path.lexists(path):
                continue
            found[os.path.relpath(path, root)] = Path(path).read_bytes()
    return found


@given(st.lists(st.lists(entries(), min_size=1, max_size=5), min_size=1, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_layers_merged_by_overlayfs_are_the_layers_applied_one_on_another(layers: list[list[tars.Member]]) -> None:
    def run() -> None:
        mount.mount("none", "/mnt", fstype="tmpfs")
        for name in ("plain", "merged"):
            os.mkdir(f"/mnt/{name}")
        for number, layer in enumerate(layers):
            Path("/mnt/blob").write_bytes(tars.tar(layer))
            os.mkdir(f"/mnt/{number}")
            try:
                for target, whiteouts in (("/mnt/plain", Whiteouts.PLAIN), (f"/mnt/{number}", Whiteouts.OVERLAY)):
                    unpack_layer(UnpackRequest(blob_path="/mnt/blob", target=target, whiteouts=whiteouts))
            except UnpackError as error:
                # A file where a directory would have to be, of this layer or (in the plain tree) of a lower one.
                assert error.code is Code.INVALID_ARGUMENT
                return
        lower = ":".join(f"/mnt/{number}" for number in reversed(range(len(layers))))
        os.mkdir("/mnt/empty")
        mount.mount_one("overlay", "/mnt/merged", fstype="overlay", options=(f"lowerdir={lower}:/mnt/empty",))
        assert tree("/mnt/merged") == tree("/mnt/plain")

    in_private_mounts(run)
