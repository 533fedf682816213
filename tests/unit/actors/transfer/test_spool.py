"""Compressed archives and pipes become plain files."""

from __future__ import annotations

import gzip
import os
import threading

import pytest
import zstandard

from actors.transfer.spool import compression, spool
from tests.unit.actors.transfer.conftest import open_bytes
from wharfie.errors import InvalidArgument, ResourceExhausted, Unimplemented

DATA = os.urandom(300_000) + b"text " * 400_000
LIMIT = 100 << 20


def spooled(data: bytes, *, max_bytes: int = LIMIT) -> bytes | None:
    """The copy of a file; None when none was made."""
    source, target = open_bytes(data), os.memfd_create("target")
    try:
        copied = spool(source, target, seekable=True, max_bytes=max_bytes)
        return os.pread(target, len(DATA) * 2, 0) if copied else None
    finally:
        os.close(source)
        os.close(target)


def test_a_plain_file_is_read_where_it_is() -> None:
    assert spooled(DATA) is None


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(DATA, 1), id="gzip"),
        pytest.param(gzip.compress(DATA[:1000], 1) + gzip.compress(DATA[1000:], 1), id="two-members"),
        pytest.param(gzip.compress(DATA, 1) + bytes(5000), id="padded"),
        pytest.param(zstandard.compress(DATA, 1), id="zstd"),
        pytest.param(zstandard.compress(DATA[:1000]) + zstandard.compress(DATA[1000:]), id="two-frames"),
    ],
)
def test_a_compressed_file_is_unpacked(packed: bytes) -> None:
    assert spooled(packed) == DATA


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, zstandard.compress])
def test_a_pipe_is_copied_to_its_end(pack: object) -> None:
    assert callable(pack)
    packed = pack(DATA)
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb") as file:
            file.write(packed[:3])
            file.flush()
            file.write(packed[3:])

    writer = threading.Thread(target=write)
    writer.start()
    target = os.memfd_create("target")
    assert spool(read_end, target, seekable=False, max_bytes=LIMIT)
    writer.join()
    assert os.pread(target, len(DATA) * 2, 0) == DATA
    os.close(read_end)
    os.close(target)


@pytest.mark.parametrize("packed", [gzip.compress(DATA, 1), b"\x1f\x8b" + bytes(100)])
def test_broken_gzip_is_a_typed_error(packed: bytes) -> None:
    with pytest.raises(InvalidArgument, match="gzip"):
        spooled(packed[: len(packed) // 2])


def test_broken_zstd_is_a_typed_error() -> None:
    packed = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(DATA))
    packed[200_000] ^= 0xFF
    with pytest.raises(InvalidArgument, match="zstd"):
        spooled(bytes(packed))


@pytest.mark.parametrize("packed", [gzip.compress(bytes(50 << 20)), zstandard.compress(bytes(50 << 20))])
def test_a_bomb_stops_at_the_limit(packed: bytes) -> None:
    with pytest.raises(ResourceExhausted, match="larger than"):
        spooled(packed, max_bytes=1 << 20)


def test_an_empty_pipe_is_an_error() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    target = os.memfd_create("target")
    with pytest.raises(InvalidArgument, match="empty"):
        spool(read_end, target, seekable=False, max_bytes=LIMIT)
    os.close(read_end)
    os.close(target)


@pytest.mark.parametrize("magic", [b"BZh91AY", b"\xfd7zXZ\x00"])
def test_other_compressions_are_named(magic: bytes) -> None:
    with pytest.raises(Unimplemented):
        compression(magic)
