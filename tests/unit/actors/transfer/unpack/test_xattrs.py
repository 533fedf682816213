from __future__ import annotations

import errno
import os
import tarfile
from pathlib import Path

import pytest

from actors.transfer.unpack import xattrs
from actors.transfer.unpack.errors import UnpackError
from tests.support import tars
from tests.support.fork import in_private_mounts

from .conftest import Unpack

# Version 2, cap_net_raw+ep.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def with_xattrs(entry: bytes, **attributes: bytes) -> bytes:
    records = [(b"SCHILY.xattr." + name.replace("__", ".").encode(), value) for name, value in attributes.items()]
    return tars.pax(*records) + entry


def test_attributes_of_files_directories_and_links_are_set(unpack: Unpack, target: str) -> None:
    data = with_xattrs(tars.raw_file(b"f", b"x"), user__a=b"\0binary\n=", user__empty=b"")
    data += with_xattrs(tars.header(b"d", typeflag=b"5", mode=b"755"), user__b=b"dir")
    result = unpack(data)
    assert os.getxattr(f"{target}/f", "user.a") == b"\0binary\n="
    assert os.getxattr(f"{target}/f", "user.empty") == b""
    assert os.getxattr(f"{target}/d", "user.b") == b"dir"
    assert result.skipped_xattrs == 0


def test_a_files_capabilities_survive_its_owner_and_its_data(unpack: Unpack, target: str) -> None:
    unpack(with_xattrs(tars.raw_file(b"ping", b"data", uid=b"0000005", mode=b"4755"), security__capability=CAPABILITY))
    assert os.getxattr(f"{target}/ping", "security.capability") == CAPABILITY
    assert (os.stat(f"{target}/ping").st_uid, os.stat(f"{target}/ping").st_mode & 0o7777) == (5, 0o4755)


@pytest.mark.parametrize(
    "name", ["trusted.overlay.opaque", "trusted.anything", "user.overlay.redirect", "user.overlay.metacopy"]
)
def test_what_overlayfs_reads_is_never_set_from_an_archive(unpack: Unpack, target: str, name: str) -> None:
    record = (b"SCHILY.xattr." + name.encode(), b"y")
    result = unpack(tars.pax(record) + tars.header(b"d", typeflag=b"5") + tars.pax(record) + tars.raw_file(b"f"))
    assert result.skipped_xattrs == 2
    assert os.listxattr(f"{target}/d") == os.listxattr(f"{target}/f") == []


def test_attributes_that_a_link_or_device_cannot_have_are_left_out(unpack: Unpack, target: str) -> None:
    data = with_xattrs(tars.header(b"l", typeflag=b"2", link=b"x"), user__a=b"1")
    data += with_xattrs(tars.header(b"p", typeflag=b"6"), user__a=b"1")
    assert unpack(data).skipped_xattrs == 2
    assert sorted(os.listdir(target)) == ["l", "p"]


def test_attributes_of_a_link_are_never_its_targets(unpack: Unpack, target: str) -> None:
    Path(f"{target}/victim").touch()
    unpack(with_xattrs(tars.header(b"l", typeflag=b"2", link=b"victim"), user__a=b"1", security__capability=CAPABILITY))
    assert os.listxattr(f"{target}/victim") == []


def test_what_the_file_system_does_not_store_is_left_out(unpack: Unpack, target: str) -> None:
    from linux import mount

    def run() -> None:
        mount.mount("none", target, fstype="ramfs")
        result = unpack(with_xattrs(tars.raw_file(b"f", b"x"), user__a=b"1"))
        assert (result.skipped_xattrs, os.listdir(target)) == (1, ["f"])

    in_private_mounts(run)


def test_an_attribute_that_is_no_attribute_is_an_error(unpack: Unpack) -> None:
    with pytest.raises(UnpackError):
        unpack(with_xattrs(tars.raw_file(b"f"), **{"user__" + "x" * 300: b"1"}))


@pytest.mark.parametrize(
    ("number", "name", "special", "expected"),
    [
        (errno.EOPNOTSUPP, b"user.a", False, True),
        (errno.EPERM, b"user.a", True, True),
        (errno.EPERM, b"user.a", False, False),
        (errno.EPERM, b"security.selinux", False, True),
        (errno.EPERM, b"security.capability", False, False),
        (errno.ENOSPC, b"user.a", False, False),
    ],
)
def test_which_failures_only_leave_an_attribute_out(*, number: int, name: bytes, special: bool, expected: bool) -> None:
    assert xattrs._may_be_left_out(number, name, is_special=special) is expected


def test_tarfiles_own_attributes_arrive(unpack: Unpack, target: str) -> None:
    unpack(tars.tar([tars.file("f", pax_headers={"SCHILY.xattr.user.k": "v"})], fmt=tarfile.PAX_FORMAT))
    assert os.getxattr(f"{target}/f", "user.k") == b"v"
