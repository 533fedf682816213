from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.transfer.unpack import sparse
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.header import HeaderError
from actors.transfer.unpack.messages import UnpackResult
from tests.support import tars
from wharfie.errors import Code

GNU_TAR = [
    ["--format=gnu"],
    ["--format=posix", "--sparse-version=0.0"],
    ["--format=posix", "--sparse-version=0.1"],
    ["--format=posix", "--sparse-version=1.0"],
]
SIZE = 64 * 1024 * 1024


@pytest.mark.parametrize("options", GNU_TAR, ids=" ".join)
@pytest.mark.parametrize("pieces", [0, 1, 3, 60])
def test_files_with_holes_that_gnu_tar_packed_come_back_with_their_holes(
    unpack: Callable[[bytes], UnpackResult], shm: str, target: str, options: list[str], pieces: int
) -> None:
    with open(f"{shm}/sparse", "wb") as file:
        for piece in range(pieces):
            file.seek(piece * 1024 * 1024 + 4096)
            file.write(b"%04d" % piece * 1024)
        file.truncate(SIZE)
    Path(f"{shm}/plain").write_bytes(b"after it")
    command = ["tar", "--sparse", *options, "-C", shm, "-c", "sparse", "plain"]
    unpack(subprocess.run(command, check=True, capture_output=True).stdout)
    assert Path(f"{target}/plain").read_bytes() == b"after it"
    assert subprocess.run(["cmp", f"{shm}/sparse", f"{target}/sparse"], check=False).returncode == 0
    assert os.stat(f"{target}/sparse").st_blocks == os.stat(f"{shm}/sparse").st_blocks


@pytest.mark.parametrize(
    ("segments", "data", "size"),
    [
        ([(0, 10), (5, 10)], 20, 100),
        ([(50, 10), (0, 10)], 20, 100),
        ([(95, 10)], 10, 100),
        ([(0, 10)], 11, 100),
        ([(0, -5)], -5, 100),
        ([(-5, 5)], 5, 100),
        ([(2**70, 1)], 1, 100),
    ],
)
def test_maps_that_make_no_sense_are_refused(segments: list[sparse.Segment], data: int, size: int) -> None:
    with pytest.raises(HeaderError, match="sparse file"):
        sparse.check(segments, data_bytes=data, real_size=size)


@pytest.mark.parametrize(
    "records",
    [
        [(b"map", b"1,2,3")],
        [(b"map", b"1,x")],
        [(b"offset", b"1"), (b"offset", b"2")],
        [(b"numbytes", b"1")],
        [(b"offset", b"1")],
        [(b"map", b"0," * 600_000 + b"0")],
    ],
)
def test_broken_records_are_refused(records: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(HeaderError):
        sparse.from_records(records)


@pytest.mark.parametrize("text", [b"x\n", b"2\n1\n2\n", b"9999999999\n", b"\n", b"1" * 600, b"1\n" + b"7" * 2000])
def test_a_broken_map_before_the_data_is_refused(text: bytes) -> None:
    with pytest.raises(HeaderError):
        sparse.read_version_1(ByteStream.of([tars.padded(text)]), len(tars.padded(text)))


def test_a_sparse_file_without_a_size_is_refused(unpack: Callable[[bytes], UnpackResult]) -> None:
    with pytest.raises(UnpackError, match="no size") as caught:
        unpack(tars.pax((b"GNU.sparse.map", b"0,4")) + tars.raw_file(b"a", b"data"))
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_sparse_file_cut_off_is_data_loss(unpack: Callable[[bytes], UnpackResult]) -> None:
    data = tars.pax((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.size", b"9")) + tars.header(b"a", size=4) + b"da"
    with pytest.raises(UnpackError, match="ends inside") as caught:
        unpack(data)
    assert caught.value.code is Code.DATA_LOSS
