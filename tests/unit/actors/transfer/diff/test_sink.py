"""The end of a layer's way: the same tar makes the same blob, and its digests are right."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable

import pytest
import zstandard

from actors.transfer.diff.sink import Compression, Sink, Written

DATA = [os.urandom(1000) * 300, b"", b"x" * 700_000, b"end"]


def packed(compression: Compression, data: list[bytes]) -> tuple[bytes, Written]:
    with open(os.memfd_create("blob"), "r+b") as file:
        with Sink(file.fileno(), compression) as sink:
            for piece in data:
                sink.write(piece)
            written = sink.finish()
        file.seek(0)
        return file.read(), written


@pytest.mark.parametrize(
    ("compression", "unpack"),
    [
        (Compression.NONE, bytes),
        (Compression.GZIP, gzip.decompress),
        (Compression.ZSTD, lambda blob: zstandard.ZstdDecompressor().decompressobj().decompress(blob)),
    ],
)
def test_the_blob_holds_the_tar_and_both_digests_are_right(
    compression: Compression, unpack: Callable[[bytes], bytes]
) -> None:
    blob, written = packed(compression, DATA)
    plain = b"".join(DATA)
    assert unpack(blob) == plain
    assert written == Written(
        digest=f"sha256:{hashlib.sha256(blob).hexdigest()}",
        size=len(blob),
        diff_id=f"sha256:{hashlib.sha256(plain).hexdigest()}",
        diff_size=len(plain),
    )


@pytest.mark.parametrize("compression", list(Compression))
def test_the_same_tar_makes_the_same_blob_however_it_came(compression: Compression) -> None:
    assert packed(compression, DATA) == packed(compression, [b"".join(DATA)])


def test_the_gzip_header_names_no_time_and_no_file() -> None:
    assert packed(Compression.GZIP, [b"x"])[0][:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\x03"


def test_a_full_disk_is_an_error_and_not_a_hang(shm: str) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        sink = Sink(full.fileno(), Compression.NONE)
        with pytest.raises(OSError, match="No space"):
            for _ in range(100):
                sink.write(bytes(300_000))
        with pytest.raises(OSError, match="No space"):
            sink.finish()
        sink.close()
