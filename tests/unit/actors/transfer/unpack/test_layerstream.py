from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator

import pytest

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.layerstream import QUEUE_CHUNKS, LayerStream
from actors.transfer.unpack.limits import Limits
from wharfie.errors import Code

DATA = b"".join(b"%d\n" % number for number in range(3_000_000))


@pytest.fixture
def fd() -> Iterator[int]:
    fd = os.memfd_create("blob")
    os.write(fd, gzip.compress(DATA, compresslevel=1))
    yield fd
    os.close(fd)


def read_all(stream: LayerStream) -> bytes:
    return b"".join(iter(stream.next_chunk, b""))


def test_the_stream_is_what_was_compressed_and_its_digest_is_right(fd: int) -> None:
    with LayerStream(fd, media_type="", bounds=Limits()) as stream:
        assert read_all(stream) == DATA
        assert stream.next_chunk() == b""
        assert stream.diff_id == "sha256:" + hashlib.sha256(DATA).hexdigest()
        assert stream.size_bytes == len(DATA)
        assert stream.consumed_bytes == os.fstat(fd).st_size


@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_its_threads_end_when_it_is_closed_in_the_middle(fd: int, chunks: int) -> None:
    before = threading.active_count()
    with LayerStream(fd, media_type="", bounds=Limits()) as stream:
        for _ in range(chunks):
            stream.next_chunk()
    assert threading.active_count() == before
    stream.close()


def test_it_does_not_run_far_ahead_of_its_reader(fd: int) -> None:
    with LayerStream(fd, media_type="", bounds=Limits()) as stream:
        stream.next_chunk()
        assert stream.size_bytes < (QUEUE_CHUNKS + 5) * 1024 * 1024


def test_a_stream_beyond_the_size_limit_ends_with_that_error_for_good(fd: int) -> None:
    with LayerStream(fd, media_type="", bounds=Limits(total_bytes=1_000_000)) as stream:
        with pytest.raises(UnpackError, match="total_bytes") as caught:
            read_all(stream)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert caught.value.details == {"limit": "total_bytes", "value": 1_000_000}
        assert stream.next_chunk() == b""


def test_a_stream_that_grows_too_much_is_refused_beyond_the_floor() -> None:
    fd = os.memfd_create("blob")
    os.write(fd, gzip.compress(bytes(30_000_000)))
    for bounds, refused in (
        (Limits(ratio=100, ratio_floor_bytes=1_000_000), True),
        (Limits(ratio=100, ratio_floor_bytes=30_000_000), False),
        (Limits(ratio=2000, ratio_floor_bytes=0), False),
    ):
        with LayerStream(fd, media_type="", bounds=bounds) as stream:
            if refused:
                with pytest.raises(UnpackError, match="ratio"):
                    read_all(stream)
            else:
                assert len(read_all(stream)) == 30_000_000
    os.close(fd)


def test_an_unreadable_blob_is_an_error_and_not_a_hang() -> None:
    fd = os.open("/dev/null", os.O_WRONLY)
    with pytest.raises(OSError, match="Bad file"):
        LayerStream(fd, media_type="", bounds=Limits())
    os.close(fd)


def test_a_bug_in_the_thread_is_not_taken_for_the_end(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(blob: object, kind: object) -> Iterator[bytes]:
        yield b"x" * 512
        raise RuntimeError("a bug")

    monkeypatch.setattr("actors.transfer.unpack.compression.chunks", broken)
    with LayerStream(fd, media_type="", bounds=Limits()) as stream, pytest.raises(UnpackError, match="a bug") as caught:
        read_all(stream)
    assert caught.value.code is Code.INTERNAL


def test_a_corrupt_blob_raises_what_the_thread_met(fd: int) -> None:
    os.pwrite(fd, b"\xff" * 100, 20_000)
    with LayerStream(fd, media_type="", bounds=Limits()) as stream, pytest.raises(UnpackError, match="corrupt"):
        read_all(stream)
