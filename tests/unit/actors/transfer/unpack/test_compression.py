from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from actors.transfer.unpack import compression
from actors.transfer.unpack.compression import Blob, Compression
from actors.transfer.unpack.errors import UnpackError
from wharfie.errors import Code

TEXT = b"".join(b"%d lines of text\n" % number for number in range(200_000))
NOISE = random.Random(1).randbytes(1_500_000)

OCI = "application/vnd.oci.image.layer.v1.tar"
DOCKER = "application/vnd.docker.image.rootfs.diff.tar"


def uncompress(blob: bytes) -> bytes:
    fd = os.memfd_create("blob")
    try:
        os.write(fd, blob)
        source = Blob(fd)
        chunks = list(compression.chunks(source, compression.detect("", source.head())))
        assert all(chunks)
        assert max(map(len, chunks), default=0) <= 1024 * 1024
        return b"".join(chunks)
    finally:
        os.close(fd)


def zstd(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


def lost(blob: bytes) -> str:
    with pytest.raises(UnpackError) as caught:
        uncompress(blob)
    assert caught.value.code is Code.DATA_LOSS
    return caught.value.message


@pytest.mark.parametrize(
    ("media_type", "head", "expected"),
    [
        (OCI, b"\x1f\x8b\x08", Compression.PLAIN),
        (DOCKER, b"anything", Compression.PLAIN),
        (OCI + "+gzip", b"\x1f\x8b\x08\0", Compression.GZIP),
        (DOCKER + ".gzip", b"\x1f\x8b\x08\0", Compression.GZIP),
        (DOCKER + ".gzip", b"plain/na", Compression.PLAIN),
        (OCI + "+zstd", b"\x28\xb5\x2f\xfd", Compression.ZSTD),
        (OCI + "+gzip", b"\x28\xb5\x2f\xfd", Compression.ZSTD),
        ("", b"\x50\x2a\x4d\x18", Compression.ZSTD),
        ("", b"\x5f\x2a\x4d\x18", Compression.ZSTD),
        ("", b"", Compression.PLAIN),
        ("", b"\x28", Compression.PLAIN),
    ],
)
def test_the_first_bytes_decide_unless_the_media_type_says_plain(
    media_type: str, head: bytes, expected: Compression
) -> None:
    assert compression.detect(media_type, head) is expected


@pytest.mark.parametrize(
    ("media_type", "head", "word"),
    [
        (OCI + "+gzip+encrypted", b"\x1f\x8b\x08", "encrypted"),
        ("", b"BZh91AY", "bzip2"),
        ("", b"\xfd7zXZ\0\0\0", "xz"),
        ("", b"\x04\x22\x4d\x18....", "lz4"),
    ],
)
def test_what_cannot_be_read_is_unimplemented_by_name(media_type: str, head: bytes, word: str) -> None:
    with pytest.raises(UnpackError, match=word) as caught:
        compression.detect(media_type, head)
    assert caught.value.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bytes], ids=["gzip", "zstd", "plain"])
@pytest.mark.parametrize(
    "data", [b"", b"x", TEXT, NOISE, bytes(50_000_000)], ids=["none", "one", "text", "noise", "zeros"]
)
def test_data_comes_back(pack: Callable[[bytes], bytes], data: bytes) -> None:
    assert uncompress(pack(data)) == data


def test_several_gzip_members_are_one_stream() -> None:
    members = [TEXT, b"", NOISE, b"end"]
    assert uncompress(b"".join(map(gzip.compress, members))) == b"".join(members)


def test_zeros_after_gzip_are_padding_even_a_lot_of_them() -> None:
    assert uncompress(gzip.compress(TEXT) + bytes(1_000_000)) == TEXT


def test_anything_else_after_gzip_is_refused() -> None:
    assert "follows" in lost(gzip.compress(b"x") + b"garbage")
    assert "follows" in lost(gzip.compress(b"x") + b"\x1f")
    assert "cut off" in lost(gzip.compress(b"x") + b"\x1f\x8b\x08")


@pytest.mark.parametrize("cut", [3, 9, 10, 15, 1000, -1, -4, -8, -9])
def test_gzip_that_is_cut_off_is_noticed(cut: int) -> None:
    lost(gzip.compress(TEXT)[:cut])


@pytest.mark.parametrize("position", [-1, -5, 5000, 200_000])
def test_gzip_that_was_changed_is_noticed(position: int) -> None:
    blob = bytearray(gzip.compress(TEXT))
    blob[position] ^= 0x55
    lost(bytes(blob))


def test_several_zstd_frames_and_skippable_ones_are_one_stream() -> None:
    skippable = b"\x51\x2a\x4d\x18" + (300_000).to_bytes(4, "little") + bytes(300_000)
    blob = skippable + zstd(TEXT) + skippable + zstd(b"") + zstd(NOISE, write_checksum=True) + skippable
    assert uncompress(blob) == TEXT + NOISE


@pytest.mark.parametrize("options", [{}, {"write_checksum": True}, {"write_content_size": False}])
def test_zstd_that_is_cut_off_anywhere_is_noticed(options: dict[str, bool]) -> None:
    blob = zstd(TEXT, **options)
    for cut in (*range(1, 40), 5000, len(blob) // 2, len(blob) - 5, len(blob) - 1):
        if cut >= 4:
            lost(blob[:cut])


def test_zstd_that_was_changed_is_noticed_by_its_checksum() -> None:
    blob = bytearray(zstd(NOISE, write_checksum=True))
    blob[len(blob) // 2] ^= 1
    lost(bytes(blob))


def test_anything_else_after_zstd_is_refused() -> None:
    assert "no frame" in lost(zstd(b"x") + b"garbage")


def test_a_zstd_frame_that_wants_too_much_memory_is_refused() -> None:
    huge_window = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes((31 << 3 | 0,)) + b"\x01\x00\x00"
    assert "zstd" in lost(huge_window)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_bomb_is_uncompressed_in_chunks_that_stay_small(pack: Callable[[bytes], bytes]) -> None:
    blob = pack(bytes(200_000_000))
    assert len(blob) < 250_000
    fd = os.memfd_create("blob")
    os.write(fd, blob)
    source = Blob(fd)
    chunks = compression.chunks(source, compression.detect("", source.head()))
    assert max(map(len, chunks)) <= 1024 * 1024
    os.close(fd)


def test_a_blob_can_be_a_part_of_a_file() -> None:
    packed = gzip.compress(TEXT)
    fd = os.memfd_create("archive")
    os.write(fd, b"before" + packed + b"behind")
    source = Blob(fd, offset=6, length=len(packed))
    assert compression.detect("", source.head()) is Compression.GZIP
    assert b"".join(compression.chunks(source, Compression.GZIP)) == TEXT
    assert source.consumed == len(packed)
    os.close(fd)
