from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
import zstandard

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.messages import UnpackRequest, UnpackResult
from tests.support import tars
from wharfie.errors import Code

from .conftest import Unpack

CONTENT = tars.tar([tars.directory("d"), tars.file("d/f", b"x" * 100_000), tars.symlink("l", "d/f")])


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress], ids=["plain", "gzip", "zstd"]
)
def test_the_result_describes_the_uncompressed_stream(unpack: Unpack, target: str, pack: object) -> None:
    # Bytes behind the end of the archive belong to the stream.
    whole = CONTENT + b"trailing" * 1000
    result = unpack(pack(whole), sync=True)  # type: ignore[operator]
    expected = UnpackResult(
        diff_id="sha256:" + hashlib.sha256(whole).hexdigest(), size_bytes=len(whole), entries=3, implicit_dirs=[]
    )
    assert result == expected
    assert Path(f"{target}/l").read_bytes() == b"x" * 100_000


def test_an_empty_layer_is_fine(unpack: Unpack, target: str) -> None:
    result = unpack(gzip.compress(tars.END))
    assert (result.size_bytes, result.entries) == (1024, 0)
    assert os.listdir(target) == []


def test_progress_is_told_in_bytes_of_the_blob_and_never_goes_back(shm: str, target: str) -> None:
    from actors.transfer.unpack.layer import unpack_layer

    blob = gzip.compress(tars.tar([tars.file(f"f{number}", os.urandom(300_000)) for number in range(10)]))
    Path(f"{shm}/blob").write_bytes(blob)
    told: list[int] = []
    unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=target), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(blob)


@pytest.mark.parametrize(
    ("fields", "code", "name"),
    [
        ({"target": "/no/such/target"}, Code.NOT_FOUND, "/no/such/target"),
        ({"target": "/etc/passwd"}, Code.FAILED_PRECONDITION, "/etc/passwd"),
        ({"blob_path": "/no/such/blob"}, Code.NOT_FOUND, "/no/such/blob"),
    ],
)
def test_a_missing_blob_or_target_is_named(unpack: Unpack, fields: dict[str, str], code: Code, name: str) -> None:
    with pytest.raises(UnpackError, match=name) as caught:
        unpack(CONTENT, **fields)
    assert caught.value.code is code


def test_a_corrupt_blob_is_data_loss(unpack: Unpack) -> None:
    with pytest.raises(UnpackError, match="corrupt") as caught:
        unpack(gzip.compress(CONTENT)[:-100])
    assert caught.value.code is Code.DATA_LOSS


def test_corruption_behind_the_last_entry_is_noticed_too(unpack: Unpack) -> None:
    blob = bytearray(gzip.compress(CONTENT))
    blob[-6] ^= 1
    with pytest.raises(UnpackError, match="corrupt"):
        unpack(bytes(blob))


def test_something_that_is_no_archive_is_invalid(unpack: Unpack) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(b"#!/bin/sh\n" * 1000)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_layer_can_be_a_part_of_a_file(unpack: Unpack, target: str) -> None:
    blob = gzip.compress(CONTENT)
    unpack(b"\0" * 512 + blob + b"more", offset=512, length=len(blob))
    assert sorted(os.listdir(target)) == ["d", "l"]


def test_details_are_text_whatever_the_names_are(unpack: Unpack) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(tars.header(b"\xff\xfe", size=100))
    assert caught.value.details["entry"] == r"\xff\xfe"


@pytest.mark.parametrize("fmt", ["v7", "ustar", "gnu", "oldgnu", "posix"])
def test_a_tree_that_gnu_tar_packed_is_the_tree_that_gnu_tar_unpacks(
    unpack: Unpack, shm: str, target: str, fmt: str
) -> None:
    source = f"{shm}/source"
    os.makedirs(f"{source}/deep/{'n' * 60}")
    Path(f"{source}/deep/{'n' * 60}/file").write_bytes(os.urandom(70_000))
    Path(f"{source}/empty").touch(mode=0o640)
    os.chown(f"{source}/empty", 1000, 1001)
    os.link(f"{source}/empty", f"{source}/linked")
    os.symlink("deep/" + "n" * 60, f"{source}/link")
    if fmt != "v7":
        os.mkfifo(f"{source}/fifo")
        os.mknod(f"{source}/null", 0o20666, os.makedev(1, 3))
    if fmt not in ("v7", "ustar"):
        os.makedirs(f"{source}/{'/'.join(['long' * 20] * 5)}")
    archive = subprocess.run(
        ["tar", f"--format={fmt}", "-C", source, "-c", "."], check=True, capture_output=True
    ).stdout
    os.mkdir(f"{shm}/reference")
    subprocess.run(["tar", "-C", f"{shm}/reference", "-xp"], input=archive, check=True)
    unpack(archive)
    format_ = "%P|%y|%m|%U|%G|%T@|%l|%s|%n\n"
    # The size of a directory and the root itself are the file system's.
    listings = [
        sorted(
            line.replace("|d|", "|d|").rsplit("|", 2)[0] if "|d|" in line else line
            for line in subprocess.run(
                ["find", root, "-mindepth", "1", "-printf", format_], check=True, capture_output=True, text=True
            ).stdout.splitlines()
        )
        for root in (f"{shm}/reference", target)
    ]
    assert listings[0] == listings[1]
    assert (
        subprocess.run(["diff", "-r", "--no-dereference", f"{source}/deep", f"{target}/deep"], check=False).returncode
        == 0
    )
