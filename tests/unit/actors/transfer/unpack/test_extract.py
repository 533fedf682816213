"""What becomes of each kind of entry, and of entries that come after others."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.limits import Limits
from actors.transfer.unpack.messages import Whiteouts
from tests.support import tars
from tests.support.fork import in_private_mounts
from wharfie.errors import Code

from .conftest import Unpack

MTIME_NS = tars.MTIME * 10**9
MODES = [Whiteouts.OVERLAY, Whiteouts.PLAIN]


def status(path: str) -> os.stat_result:
    return os.stat(path, follow_symlinks=False)


def mode(path: str) -> int:
    return stat.S_IMODE(status(path).st_mode)


def test_a_file_has_its_data_mode_owner_and_time(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.file("f", b"content", mode=0o4751, uid=12, gid=34, mtime=1.123456789)]))
    found = status(f"{target}/f")
    assert Path(f"{target}/f").read_bytes() == b"content"
    assert (found.st_uid, found.st_gid, mode(f"{target}/f"), found.st_mtime_ns) == (12, 34, 0o4751, 1_123_456_789)
    assert found.st_atime_ns == found.st_mtime_ns


@pytest.mark.parametrize("bits", [0, 0o1, 0o666, 0o1777, 0o2755, 0o4755, 0o6777, 0o7777])
@pytest.mark.parametrize("owner", [(0, 0), (5, 6)])
def test_all_mode_bits_are_kept_whoever_owns_it(unpack: Unpack, target: str, bits: int, owner: tuple[int, int]) -> None:
    ids = {"uid": owner[0], "gid": owner[1]}
    content = [
        tars.file("f", b"x", mode=bits, **ids),
        tars.directory("d", mode=bits, **ids),
        tars.node("p", tarfile.FIFOTYPE, mode=bits, **ids),
        tars.node("c", tarfile.CHRTYPE, mode=bits, major=1, minor=3, **ids),
    ]
    unpack(tars.tar(content))
    for name in "fdpc":
        found = status(f"{target}/{name}")
        assert (oct(mode(f"{target}/{name}")), found.st_uid, found.st_gid) == (oct(bits), *owner)


def test_what_is_made_in_a_setgid_directory_has_its_own_group_and_mode(unpack: Unpack, target: str) -> None:
    content = [
        tars.directory("d", mode=0o2775, gid=50),
        tars.file("d/f", b"x", mode=0o640),
        tars.directory("d/sub"),
        tars.symlink("d/l", "f"),
        tars.node("d/p", tarfile.FIFOTYPE),
        tars.file("d/implicit/f"),
    ]
    unpack(tars.tar(content))
    assert mode(f"{target}/d") == 0o2775
    for name, bits in (("f", 0o640), ("sub", 0o755), ("l", 0o777), ("p", 0o600), ("implicit", 0o755)):
        assert (status(f"{target}/d/{name}").st_gid, oct(mode(f"{target}/d/{name}"))) == (0, oct(bits))


def test_a_directory_that_becomes_setgid_later_does_not_pass_its_group_on(unpack: Unpack, target: str) -> None:
    content = [tars.directory("d"), tars.file("d/a"), tars.directory("d", mode=0o2755, gid=9), tars.file("d/b")]
    unpack(tars.tar(content))
    assert status(f"{target}/d/b").st_gid == 0


def test_a_default_acl_does_not_change_modes(unpack: Unpack, target: str) -> None:
    # version 2; user::rwx, group::r-x, other::---
    acl = "0200000001000700ffffffff04000500ffffffff20000000ffffffff"
    raw = bytes.fromhex(acl).decode("latin-1")
    acl_bytes = bytes.fromhex(acl)
    assert len(raw) == len(acl_bytes)
    data = tars.pax((b"SCHILY.xattr.system.posix_acl_default", acl_bytes)) + tars.header(
        b"d", typeflag=b"5", mode=b"755"
    )
    data += tars.raw_file(b"d/f", b"x", mode=b"0666") + tars.header(b"d/s", typeflag=b"5", mode=b"0777")
    data += tars.raw_file(b"d/s/f", b"x", mode=b"0604")
    unpack(data)
    if "system.posix_acl_default" not in os.listxattr(f"{target}/d"):
        pytest.skip("no ACLs on this tmpfs")
    assert [oct(mode(f"{target}/d/{name}")) for name in ("f", "s", "s/f")] == ["0o666", "0o777", "0o604"]


def test_symbolic_links_are_verbatim_and_have_their_own_owner_and_time(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.symlink("l", "/no/../where", uid=7, gid=8), tars.symlink("m", "l")]))
    assert os.readlink(f"{target}/l") == "/no/../where"
    found = status(f"{target}/l")
    assert (found.st_uid, found.st_gid, found.st_mtime_ns) == (7, 8, MTIME_NS)


def test_an_empty_symbolic_link_is_refused(unpack: Unpack) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(tars.header(b"l", typeflag=b"2"))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.details["entry"] == "l"


def test_devices_and_pipes_are_made(unpack: Unpack, target: str) -> None:
    content = [
        tars.node("c", tarfile.CHRTYPE, major=1, minor=3, mode=0o666),
        tars.node("b", tarfile.BLKTYPE, major=4095, minor=1048575),
        tars.node("p", tarfile.FIFOTYPE, mode=0o622),
    ]
    unpack(tars.tar(content))
    assert stat.S_ISCHR(status(f"{target}/c").st_mode)
    assert status(f"{target}/c").st_rdev == os.makedev(1, 3)
    assert status(f"{target}/b").st_rdev == os.makedev(4095, 1048575)
    assert (stat.S_ISFIFO(status(f"{target}/p").st_mode), mode(f"{target}/p")) == (True, 0o622)
    assert status(f"{target}/p").st_mtime_ns == MTIME_NS


@pytest.mark.parametrize(("major", "minor"), [(4096, 0), (0, 1048576), (-1, 0)])
def test_device_numbers_that_cannot_exist_are_refused(unpack: Unpack, major: int, minor: int) -> None:
    with pytest.raises(UnpackError, match="device number") as caught:
        unpack(tars.tar([tars.node("c", tarfile.CHRTYPE, major=major, minor=minor)], fmt=tarfile.GNU_FORMAT))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_hard_links_share_the_inode_and_leave_its_attributes(unpack: Unpack, target: str) -> None:
    content = [
        tars.file("d/a", b"data", mode=0o600, uid=3),
        tars.hardlink("b", "d/a", uid=99, mode=0o777),
        tars.hardlink("e/c", "/./d/../d/a"),
    ]
    unpack(tars.tar(content))
    first = status(f"{target}/d/a")
    assert {status(f"{target}/{name}").st_ino for name in ("b", "e/c")} == {first.st_ino}
    assert (first.st_nlink, first.st_uid, mode(f"{target}/b")) == (3, 3, 0o600)


def test_a_hard_link_to_a_symbolic_link_is_that_link(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.file("f"), tars.symlink("l", "f"), tars.hardlink("h", "l")]))
    assert os.readlink(f"{target}/h") == "f"
    assert status(f"{target}/f").st_nlink == 1


def test_a_hard_link_to_itself_changes_nothing(unpack: Unpack, target: str) -> None:
    unpack(
        tars.tar([tars.file("f", b"data"), tars.hardlink("f", "f"), tars.hardlink("g", "f"), tars.hardlink("g", "f")])
    )
    assert Path(f"{target}/f").read_bytes() == b"data"
    assert status(f"{target}/g").st_nlink == 2


@pytest.mark.parametrize("link", ["missing", "d", "f/x", "", ".", "d/../../missing"])
def test_a_hard_link_to_what_is_no_file_of_the_layer_is_refused(unpack: Unpack, link: str) -> None:
    with pytest.raises(UnpackError, match="hard link 'h'") as caught:
        unpack(tars.tar([tars.directory("d"), tars.file("f"), tars.hardlink("h", link)]))
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("whiteouts", MODES)
def test_every_kind_replaces_every_other_and_only_a_directory_keeps_a_directory(
    unpack: Unpack, shm: str, whiteouts: Whiteouts
) -> None:
    def kinds(name: str) -> dict[str, tars.Member]:
        return {
            "file": tars.file(name, b"new", mode=0o600),
            "directory": tars.directory(name, mode=0o700),
            "symlink": tars.symlink(name, "elsewhere"),
            "hardlink": tars.hardlink(name, "source"),
            "fifo": tars.node(name, tarfile.FIFOTYPE),
        }

    checks: dict[str, Callable[[str], bool]] = {
        "file": lambda path: Path(path).read_bytes() == b"new" and mode(path) == 0o600,
        "directory": lambda path: stat.S_ISDIR(status(path).st_mode) and mode(path) == 0o700,
        "symlink": lambda path: os.readlink(path) == "elsewhere",
        "hardlink": lambda path: Path(path).read_bytes() == b"source",
        "fifo": lambda path: stat.S_ISFIFO(status(path).st_mode),
    }
    content = [tars.file("source", b"source")]
    for old in checks:
        for new in checks:
            name = f"{old}-{new}"
            content.append(kinds(name)[old])
            if old == "directory":
                content.append(tars.file(f"{name}/inner/deep"))
            content.append(kinds(name)[new])
    os.mkdir(f"{shm}/{whiteouts}")
    unpack(tars.tar(content), target=f"{shm}/{whiteouts}", whiteouts=whiteouts)
    for old in checks:
        for new, check in checks.items():
            path = f"{shm}/{whiteouts}/{old}-{new}"
            assert check(path), path
            if old == new == "directory":
                assert os.path.exists(f"{path}/inner/deep")


def test_times_of_directories_survive_what_is_made_in_them_later(unpack: Unpack, target: str) -> None:
    content = [
        tars.directory("d", mtime=1000),
        tars.directory("d/e", mtime=2000),
        tars.file("d/e/f"),
        tars.file("other"),
        tars.file("d/g"),
        tars.directory("d", mtime=3000),
    ]
    unpack(tars.tar(content))
    assert status(f"{target}/d/e").st_mtime == 2000
    assert status(f"{target}/d").st_mtime == 3000


def test_the_time_of_a_directory_that_was_replaced_is_nobody_elses(unpack: Unpack, target: str) -> None:
    content = [
        tars.directory("a", mtime=1000),
        tars.directory("a/b", mtime=1000),
        tars.directory("real", mtime=2000),
        tars.directory("real/b", mtime=2000),
        tars.symlink("a", "real"),
    ]
    unpack(tars.tar(content))
    assert status(f"{target}/real/b").st_mtime == 2000
    assert status(f"{target}/a").st_mtime_ns == MTIME_NS


@pytest.mark.parametrize(
    ("mtime", "atime", "expected"),
    [
        (b"-5", None, (0, 0)),
        (b"9223372036.9", None, (0, 0)),
        (b"9223372036", None, (9223372036 * 10**9,) * 2),
        (b"100", b"200.5", (200_500_000_000, 100 * 10**9)),
        (b"300", b"200", (300 * 10**9, 300 * 10**9)),
        (b"99999999999999999999", b"1", (10**9, 0)),
    ],
)
def test_times_beyond_what_can_be_stored_become_1970(
    unpack: Unpack, target: str, mtime: bytes, atime: bytes | None, expected: tuple[int, int]
) -> None:
    records = [(b"mtime", mtime)] + ([(b"atime", atime)] if atime else [])
    unpack(tars.pax(*records) + tars.raw_file(b"f"))
    found = status(f"{target}/f")
    assert (found.st_atime_ns, found.st_mtime_ns) == expected


@pytest.mark.parametrize(
    "record", [(b"uid", b"2147483648"), (b"gid", b"4294967296"), (b"uid", b"18446744073709551616")]
)
@pytest.mark.parametrize("typeflag", [b"0", b"2", b"5", b"6"])
def test_owners_beyond_31_bits_are_refused(unpack: Unpack, record: tuple[bytes, bytes], typeflag: bytes) -> None:
    with pytest.raises(UnpackError, match="owner") as caught:
        unpack(tars.pax(record) + tars.header(b"f", typeflag=typeflag, link=b"x"))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_the_highest_owner_is_kept(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.file("f", uid=2**31 - 1, gid=2**31 - 1)]))
    assert status(f"{target}/f").st_uid == 2**31 - 1


def test_data_behind_a_hard_link_does_not_confuse_what_follows(unpack: Unpack, target: str) -> None:
    unpack(
        tars.raw_file(b"a", b"1") + tars.header(b"h", typeflag=b"1", link=b"a", size=700) + tars.raw_file(b"b", b"2")
    )
    assert sorted(os.listdir(target)) == ["a", "b", "h"]


@pytest.mark.parametrize(
    ("bounds", "name"),
    [(Limits(entries=2), "entries"), (Limits(file_bytes=9), "file_bytes"), (Limits(total_bytes=2000), "total_bytes")],
)
def test_limits_are_typed_errors(unpack: Unpack, bounds: Limits, name: str) -> None:
    with pytest.raises(UnpackError, match=name) as caught:
        unpack(tars.tar([tars.file("a", b"0123456789"), tars.file("b"), tars.file("c")]), limits=bounds)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.details["limit"] == name


def test_a_hole_larger_than_a_file_may_be_is_refused_too(unpack: Unpack, target: str) -> None:
    data = tars.pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"9999999999999999"))
    with pytest.raises(UnpackError, match="file_bytes"):
        unpack(data + tars.raw_file(b"f"))
    assert os.listdir(target) == []


def test_a_full_disk_is_resource_exhausted(unpack: Unpack, target: str) -> None:
    from linux import mount

    def run() -> None:
        mount.mount("none", target, fstype="tmpfs", data="size=1m")
        with pytest.raises(UnpackError) as caught:
            unpack(tars.tar([tars.file(f"f{number}", bytes(700_000)) for number in range(3)]))
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert caught.value.details == {"errno": "ENOSPC", "entry": "f1"}

    in_private_mounts(run)


def test_a_read_only_target_is_failed_precondition(unpack: Unpack, target: str) -> None:
    from linux import mount

    def run() -> None:
        mount.mount_one(target, target, fstype="bind", options=("bind", "ro"))
        with pytest.raises(UnpackError, match="read-only") as caught:
            unpack(tars.tar([tars.file("f")]))
        assert caught.value.code is Code.FAILED_PRECONDITION

    in_private_mounts(run)
