"""Whole layers as many programs write them: everything in them arrives, to the nanosecond and the last attribute."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.support import lazylayers, tars, trees

from .conftest import Unpack

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


@pytest.mark.parametrize("fmt", ["posix", "gnu", "ustar", "oldgnu"])
def test_what_gnu_tar_packs_arrives_whole(unpack: Unpack, target: str, shm: str, fmt: str) -> None:
    source = f"{shm}/source"
    os.mkdir(source)
    deep = "/".join(["d" * 20] * (4 if fmt == "ustar" else 12))
    trees.grow(
        source,
        {
            f"{deep}/file": b"x" * 5000,
            "links/to": "n" * 90 if fmt == "ustar" else "n" * 300,
            "pipe": stat.S_IFIFO,
            "device": stat.S_IFCHR,
            "\udcff\udce9": b"no text",
            "n" * (90 if fmt == "ustar" else 255): b"long",
        },
        time_ns=1_600_000_000_000_000_000 if fmt != "posix" else 1_600_000_000_123_456_789,
    )
    os.link(f"{source}/{deep}/file", f"{source}/hard")
    owner = (70000, 2_000_000) if fmt == "ustar" else (70000, 2**31 - 1)
    os.chown(f"{source}/hard", *owner)
    os.chmod(f"{source}/hard", 0o6751)
    if fmt == "posix":
        os.setxattr(f"{source}/hard", "user.x", b"\0\n=")
        os.setxattr(f"{source}/hard", "security.capability", CAPABILITY)
    options = ["--xattrs", "--xattrs-include=*"] if fmt == "posix" else []
    packed = subprocess.run(
        ["tar", f"--format={fmt}", *options, "--sort=name", "-C", source, "-c", "."], check=True, capture_output=True
    ).stdout
    unpack(packed)
    assert trees.described(target) == trees.described(source)


@pytest.mark.parametrize("make", [lazylayers.estargz, lazylayers.zstd_chunked])
def test_layers_of_lazy_pullers_are_plain_archives(unpack: Unpack, target: str, make: object) -> None:
    files = {"a": os.urandom(300_000), "b": b"b", "empty": b""}
    blob, plain = make(files)  # type: ignore[operator]
    result = unpack(blob)
    for name, data in files.items():
        assert Path(f"{target}/{name}").read_bytes() == data
    assert result.size_bytes == len(plain)
    # Landmarks and the index are entries as any other, as containerd has them.
    assert (lazylayers.INDEX in os.listdir(target)) == (make is lazylayers.estargz)


def test_the_last_padding_and_the_end_may_be_missing_in_any_compression(unpack: Unpack, target: str) -> None:
    """As umoci and some others leave them."""
    short = tars.header(b"f", size=3) + b"abc"
    for pack in (bytes, gzip.compress, zstandard.ZstdCompressor().compress):
        unpack(pack(short))
        assert Path(f"{target}/f").read_bytes() == b"abc"


def test_members_and_frames_may_begin_anywhere(unpack: Unpack, target: str) -> None:
    plain = tars.tar([tars.file(f"f{number}", os.urandom(3000)) for number in range(5)])
    pieces = [plain[start : start + 1111] for start in range(0, len(plain), 1111)]
    packer = zstandard.ZstdCompressor()
    for pack in (gzip.compress, packer.compress):
        assert unpack(b"".join(map(pack, pieces))).size_bytes == len(plain)
        assert len(os.listdir(target)) == 5


@pytest.mark.parametrize("typeflag", [b"V", b"M", b"D", b"A", b"~"])
def test_entries_of_backups_and_vendors_are_refused_by_name(unpack: Unpack, typeflag: bytes) -> None:
    from actors.transfer.unpack.errors import UnpackError

    with pytest.raises(UnpackError, match=r"type '.' of entry 'label' is not known"):
        unpack(tars.header(b"label", typeflag=typeflag))


def test_names_of_users_are_not_looked_up_here(unpack: Unpack, target: str) -> None:
    info = tarfile.TarInfo("f")
    info.uid, info.gid, info.uname, info.gname = 12345, 12346, "root", "daemon"
    unpack(tars.tar([tars.Member(info)]))
    status = os.stat(f"{target}/f")
    assert (status.st_uid, status.st_gid) == (12345, 12346)
