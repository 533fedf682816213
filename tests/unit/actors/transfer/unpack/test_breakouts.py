"""Archives that try to get out. Nothing outside of the target is ever made, changed or removed.

The cases are those that unpackers have been caught by: links that lead out, through several hops, replaced halfway,
hard links to the outside, names that climb, whiteouts of what is not theirs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux.files import RENAME_EXCHANGE, rename
from tests.support import tars
from tests.support.tars import Member, directory, file, hardlink, symlink
from wharfie.errors import Code

EVIL = b"evil"

# OUT stands for the absolute path of a directory beside the target, UP for a relative way to it.
CASES: dict[str, list[Member]] = {
    "name_climbs": [file("../OUT-name/f", EVIL), file("../../../../../../../../../..OUT/f", EVIL)],
    "name_absolute": [file("OUT/f", EVIL), file("/OUT/f", EVIL)],
    "name_climbs_in_the_middle": [directory("a"), file("a/../../outside/f", EVIL)],
    "symlink_absolute": [symlink("l", "OUT"), file("l/f", EVIL)],
    "symlink_up_and_out": [symlink("l", "UP"), file("l/f", EVIL)],
    "symlink_deep_up": [directory("a/b"), symlink("a/b/l", "../../UP"), file("a/b/l/f", EVIL)],
    "symlink_several_absolute": [
        symlink("one", "OUT"),
        symlink("two", "/one"),
        symlink("three", "/two"),
        file("three/f", EVIL),
    ],
    "symlink_several_relative": [symlink("a", "UP"), symlink("b", "a/../a"), file("b/f", EVIL)],
    "symlink_to_dot_dot": [symlink("up", ".."), symlink("out", "up/outside"), file("out/f", EVIL)],
    "symlink_ends_with_slash": [symlink("l", "OUT/"), file("l/f", EVIL)],
    "symlink_over_directory": [directory("d"), symlink("d", "OUT"), file("d/f", EVIL)],
    "symlink_over_directory_in_use": [file("d/x"), symlink("d", "OUT"), file("d/f", EVIL)],
    "directory_over_symlink": [symlink("d", "OUT"), directory("d", mode=0o777), file("d/f", EVIL)],
    "directory_over_symlink_with_slash": [symlink("d", "OUT"), directory("d/", mode=0o777, uid=5), file("d/f", EVIL)],
    "file_over_symlink": [symlink("l", "OUT/victim"), file("l", EVIL, mode=0o777, uid=5)],
    "symlink_over_symlink": [symlink("l", "OUT"), symlink("l", "OUT/victim"), file("l", EVIL)],
    "fifo_over_symlink": [symlink("l", "OUT/victim"), tars.node("l", tarfile.FIFOTYPE, mode=0o777)],
    "hardlink_absolute": [hardlink("h", "OUT/victim"), file("h", EVIL)],
    "hardlink_relative": [hardlink("h", "UP/victim"), file("h", EVIL)],
    "hardlink_down_and_out": [directory("a"), hardlink("h", "a/../UP/victim")],
    "hardlink_through_symlink": [symlink("l", "OUT"), hardlink("h", "l/victim"), file("h", EVIL)],
    "hardlink_to_symlink": [symlink("l", "OUT/victim"), hardlink("h", "l"), file("h", EVIL)],
    "hardlink_to_symlink_chmod": [symlink("l", "OUT/victim"), hardlink("h", "l", mode=0o777, uid=5)],
    "hardlink_to_symlink_then_into": [symlink("l", "OUT"), hardlink("h", "l"), file("h/f", EVIL)],
    "hardlink_over_symlink": [symlink("l", "OUT/victim"), file("a", EVIL), hardlink("l", "a")],
    "hardlink_into_symlink": [symlink("l", "OUT"), file("a", EVIL), hardlink("l/f", "a")],
    "symlink_attributes": [symlink("l", "OUT/victim", uid=5, gid=5, mtime=5)],
    "directory_times": [directory("d", mtime=5), symlink("d", "OUT")],
    "directory_times_through_parent": [directory("d/outside", mtime=5), symlink("d", "..")],
    "implicit_through_symlink": [symlink("l", "OUT/new"), file("l/deep/f", EVIL)],
    "implicit_through_dangling_up": [symlink("l", "../../../../newly-made"), file("l/f", EVIL)],
    "device_in_symlink": [symlink("l", "OUT"), tars.node("l/dev", tarfile.CHRTYPE, major=1, minor=3)],
    "whiteout_of_parent": [file(".wh..."), file(".wh..")],
    "whiteout_climbs": [file("../.wh.outside")],
    "whiteout_through_symlink": [symlink("l", "OUT"), file("l/.wh.victim")],
    "whiteout_of_symlink": [symlink("l", "OUT"), file(".wh.l")],
    "opaque_through_symlink": [symlink("l", "OUT"), file("l/.wh..wh..opq")],
    "opaque_of_root": [file(".wh..wh..opq"), file("../.wh..wh..opq")],
    "whiteout_with_slashes": [symlink("l", "UP"), file("l/../.wh.outside")],
    "whiteout_in_dead_symlink": [symlink("l", "OUT/dead"), file("l/.wh.x")],
    "magic_link": [symlink("l", "/proc/self/root"), file("lOUT/f", EVIL)],
    "magic_link_cwd": [symlink("l", "/proc/self/cwd/UP"), file("l/f", EVIL)],
    "long_chain": [
        *(symlink(f"s{number}", f"s{number + 1}") for number in range(30)),
        symlink("s30", "OUT"),
        file("s0/f", EVIL),
    ],
}


# What is left of the cases of containerd's own tests, by their names.
CASES |= {
    "symlink_empty_file": [symlink("l", "OUT/new"), file("l"), file("l/", EVIL)],
    "symlink_empty_filename": [symlink("", "OUT"), symlink("./", "OUT"), file("/f", EVIL)],
    "symlink_parent_directory": [directory("a"), symlink("a/up", ".."), file("a/up/../outside/f", EVIL)],
    "symlink_parent_relative": [symlink("l", "UP/directory"), file("l/../f", EVIL), file("l/..", EVIL)],
    "symlink_override_path": [symlink("d", "OUT"), directory("d/directory", mode=0o777, uid=5), file("d/victim", EVIL)],
    "symlink_override_relative": [directory("d/directory"), symlink("d", "UP"), directory("d/directory", mode=0o777)],
    "directory_override_symlink_and_hardlink": [
        symlink("l", "OUT"),
        hardlink("h", "l"),
        directory("h", mode=0o777, uid=5),
        file("h/victim", EVIL),
        file("l/f", EVIL),
    ],
    "directory_creation": [directory("../outside/new"), directory("a/../../outside/new"), directory("OUT/new")],
    "hardlink_relative_long": [hardlink("h", "../" * 20 + "OUT/victim"), file("h", EVIL, mode=0o777)],
    "hardlink_relative_up_and_out": [directory("a/b"), hardlink("a/b/h", "../../UP/victim"), file("a/b/h", EVIL)],
    "hardlink_direct_absolute": [hardlink("OUT/h", "OUT/victim"), hardlink("OUT/victim", "OUT/h")],
    "hardlink_direct_relative": [hardlink("UP/h", "UP/victim"), hardlink("UP/victim", "UP/h")],
    "hardlink_symlink_before_create_target": [
        file("a", EVIL),
        hardlink("h", "a"),
        symlink("a", "OUT/victim"),
        hardlink("h", "a"),
        file("h", EVIL, mode=0o777),
    ],
    "hardlink_symlink_relative": [symlink("l", "UP/victim"), hardlink("h", "./l"), file("h", EVIL, mode=0o777)],
    "hardlink_symlink_absolute": [symlink("l", "OUT/victim"), hardlink("h", "/l"), file("h", EVIL, mode=0o777)],
    "whiteout_root": [file(".wh."), file("/.wh.")],
    "whiteout_root_slash": [file(".wh./"), file(".wh..wh.")],
    "whiteout_current_directory": [file(".wh..")],
    "whiteout_root_parent": [file("/../.wh...")],
    "whiteout_parent_deep": [directory("a/b"), file("a/b/.wh...")],
    "whiteout_directory_name": [symlink("l", "OUT"), file("l/.wh.directory/f", EVIL), directory("l/.wh.victim/")],
    "whiteout_symlink_path": [symlink("l", "OUT"), file("l/../l/./.wh.victim"), file("l//.wh.directory")],
    "whiteout_relative_path": [directory("a"), file("a/../../outside/.wh.victim")],
    "whiteout_dead_symlink_parent": [symlink("l", "OUT/dead/end"), file("l/.wh.victim"), file("l/.wh..wh..opq")],
}


@pytest.fixture
def outside(shm: str) -> str:
    """A directory beside the target with something to lose."""
    path = f"{shm}/outside"
    os.makedirs(f"{path}/directory")
    Path(f"{path}/victim").write_bytes(b"precious")
    os.symlink("victim", f"{path}/link")
    for name in ("victim", "directory", ""):
        os.utime(f"{path}/{name}", ns=(10**18, 10**18))
    return path


def fingerprint(root: str, *, skip: str) -> dict[str, object]:
    """Describe everything below `root` but `skip`."""
    found: dict[str, object] = {}
    for parent, directories, files in os.walk(root):
        directories[:] = [name for name in directories if os.path.join(parent, name) not in (skip, f"{root}/blob")]
        for name in (*directories, *files, "."):
            path = os.path.join(parent, name)
            if path in (f"{root}/blob", f"{root}/."):
                continue
            status = os.stat(path, follow_symlinks=False)
            data = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[path] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_ino,
                status.st_nlink,
                status.st_mtime_ns,
                data,
                os.listxattr(path, follow_symlinks=False),
            )
    return found


def placed(members: list[Member], out: str) -> list[Member]:
    """Fill in the real paths."""

    def fill(text: str) -> str:
        return text.replace("OUT", out).replace("UP", "../outside")

    filled = []
    for info, data in members:
        copy = tarfile.TarInfo(fill(info.name))
        copy.type, copy.mode, copy.uid, copy.gid = info.type, info.mode, info.uid, info.gid
        copy.size, copy.mtime, copy.linkname = info.size, info.mtime, fill(info.linkname)
        copy.devmajor, copy.devminor = info.devmajor, info.devminor
        filled.append(Member(copy, data))
    return filled


def attack(shm: str, target: str, content: bytes, whiteouts: Whiteouts) -> None:
    Path(f"{shm}/blob").write_bytes(content)
    before = fingerprint(shm, skip=target)
    names = os.listdir("/")
    try:
        unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=target, whiteouts=whiteouts))
    except UnpackError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.DATA_LOSS)
    assert fingerprint(shm, skip=target) == before
    assert os.listdir("/") == names
    for parent, _, files in os.walk(target):
        for name in files:
            status = os.stat(os.path.join(parent, name), follow_symlinks=False)
            assert status.st_ino != os.stat(f"{shm}/outside/victim").st_ino


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
@pytest.mark.parametrize("case", CASES)
def test_nothing_gets_out(shm: str, target: str, outside: str, case: str, whiteouts: Whiteouts) -> None:
    attack(shm, target, tars.tar(placed(CASES[case], outside)), whiteouts)


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
@pytest.mark.parametrize("case", CASES)
def test_nothing_gets_out_by_links_that_lower_layers_left(
    shm: str, target: str, outside: str, case: str, whiteouts: Whiteouts
) -> None:
    """The first half of each case is already there, as a lower layer would have left it."""
    members = placed(CASES[case], outside)
    links = [member for member in members if member.info.issym()]
    rest = [member for member in members if not member.info.issym()]
    attack(shm, target, tars.tar(links), whiteouts)
    attack(shm, target, tars.tar(rest), whiteouts)


def test_an_entry_that_climbs_lands_inside(shm: str, target: str, outside: str) -> None:
    attack(
        shm,
        target,
        tars.tar(placed([symlink("l", "OUT"), file("l/f", b"1"), file("../../x", b"2")], outside)),
        Whiteouts.OVERLAY,
    )
    assert Path(f"{target}{outside}/f").read_bytes() == b"1"
    assert Path(f"{target}/x").read_bytes() == b"2"


parts = st.sampled_from(["a", "b", "..", ".", "", "outside", "victim", "l"])
names = st.lists(parts, min_size=1, max_size=4).map("/".join)
targets = st.one_of(
    names, st.sampled_from(["OUT", "UP", "OUT/victim", "UP/victim", "/", "..", "../..", "/proc/self/root"])
)


@st.composite
def hostile(draw: st.DrawFn) -> Member:
    name = draw(names)
    match draw(st.sampled_from("fdsshhwo")):
        case "f":
            return file(name, EVIL, mode=0o777, uid=5)
        case "d":
            return directory(name, mode=0o700, mtime=5)
        case "s":
            return symlink(name, draw(targets))
        case "h":
            return hardlink(name, draw(targets))
        case "w":
            return file(f"{draw(names)}/.wh.{draw(parts)}")
        case _:
            return file(f"{name}/.wh..wh..opq")


@given(members=st.lists(hostile(), max_size=8), whiteouts=st.sampled_from(list(Whiteouts)))
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_entries_gets_out(members: list[Member], whiteouts: Whiteouts) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as shm:
        os.makedirs(f"{shm}/outside/directory")
        os.mkdir(f"{shm}/target")
        Path(f"{shm}/outside/victim").write_bytes(b"precious")
        attack(shm, f"{shm}/target", tars.tar(placed(members, f"{shm}/outside")), whiteouts)


def swap_for_ever(path: str, elsewhere: str, ready: int) -> None:
    """Exchange a directory with a link to the outside, again and again, until killed."""
    os.symlink(elsewhere, f"{path}.link")
    os.write(ready, b"x")
    while True:
        for _ in range(2):
            with contextlib.suppress(OSError):
                rename(path, f"{path}.link", flags=RENAME_EXCHANGE)


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
def test_somebody_who_swaps_directories_for_links_meanwhile_leads_nothing_out(
    shm: str, target: str, outside: str, whiteouts: Whiteouts
) -> None:
    members: list[Member] = []
    for number in range(150):
        members += [
            file(f"d/f{number}", EVIL),
            file(f"d/.wh.victim{number}"),
            directory(f"d/sub{number}", mode=0o777),
            symlink(f"d/l{number}", "x"),
            file(f"e{number}/x"),
            file("d/.wh.victim"),
        ]
    Path(f"{shm}/blob").write_bytes(tars.tar(members))
    os.mkdir(f"{target}/d")
    before = fingerprint(outside, skip="")
    readable, writable = os.pipe()
    attacker = os.fork()
    if attacker == 0:
        try:
            swap_for_ever(f"{target}/d", outside, writable)
        finally:
            os._exit(1)
    try:
        assert os.read(readable, 1) == b"x"
        for _ in range(3):
            with contextlib.suppress(UnpackError):
                unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=target, whiteouts=whiteouts))
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
        os.close(readable)
        os.close(writable)
    assert fingerprint(outside, skip="") == before
