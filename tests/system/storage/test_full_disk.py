"""A full disk: writers are told, readers are served, nothing is lost, and what is freed can be used again."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.internal import IngestFile
from tests.support.storage import Storage, storage
from wharfie import Client, NotFound, ResourceExhausted

MIB = 1 << 20


@pytest.fixture
def daemon() -> Iterator[Storage]:
    with storage(root_size_bytes=16 * MIB) as running:
        yield running


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def fill(client: Client, ref: str) -> int:
    """Write until there is no room; how many bytes went in."""
    offset = 0
    for size in (MIB, 64 << 10, 4 << 10):
        with pytest.raises(ResourceExhausted):
            while True:
                offset = client.content.write(ref, bytes(size), offset=offset).offset
    return offset


def test_writers_are_told_and_readers_are_served(daemon: Storage) -> None:
    with daemon.connect(timeout_s=2.0) as client:
        data = os.urandom(MIB)
        kept = client.content.ingest(data).digest
        filled = fill(client, "big")
        assert filled > 10 * MIB
        # Everything that is there is still read, and the ingest is where it was.
        assert client.content.read(kept) == data
        assert client.content.status("big").offset == filled
        for write in (
            lambda: client.content.write("another", os.urandom(64 << 10)),
            lambda: client.content.put(os.urandom(64 << 10)),
            lambda: client.content.put(os.urandom(MIB)),
            lambda: client.content.ingest(io.BytesIO(os.urandom(6 * MIB))),
            lambda: daemon.ingest_file(
                client,
                IngestFile(path=__file__, offset=0, length=1000, digest=digest_of(Path(__file__).read_bytes()[:1000])),
            ),
        ):
            with pytest.raises(ResourceExhausted) as raised:
                write()
            assert raised.value.details["reason"] == "disk_full"
        # An abort gives the space back, and the same calls go through.
        client.content.abort("big")
        more = os.urandom(4 * MIB)
        assert client.content.read(client.content.ingest(more).digest) == more
        assert client.content.read(kept) == data
    left = [path for path in Path(daemon.root, "content/ingest").rglob("*") if path.name in ("data", "data.tmp")]
    assert left == []


def test_a_full_disk_survives_the_worker_and_the_daemon(daemon: Storage) -> None:
    with daemon.connect(timeout_s=2.0) as client:
        filled = fill(client, "big")
        daemon.kill("content")
        assert client.content.status("big").offset == filled
        daemon.kill_all()
        daemon.start()
        assert client.content.status("big").offset == filled
        client.content.abort("big")
        with pytest.raises(NotFound):
            client.content.status("big")
        assert client.content.ingest(b"room again").size == 10


def test_a_snapshot_that_finds_no_room_leaves_nothing(daemon: Storage) -> None:
    with daemon.connect(timeout_s=2.0) as client:
        snapshots = client.snapshots
        base = Path(snapshots.prepare("active", snapshotter="native")[0].source)
        (base / "large").write_bytes(bytes(6 * MIB))
        snapshots.commit("base", "active", snapshotter="native")
        fill(client, "big")
        with pytest.raises(ResourceExhausted):
            snapshots.prepare("copy", "base", snapshotter="native")
        assert [info.name for info in snapshots.list(snapshotter="native")] == ["base"]
        client.content.abort("big")
        copy = Path(snapshots.prepare("copy", "base", snapshotter="native")[0].source)
        assert (copy / "large").stat().st_size == 6 * MIB
        assert snapshots.cleanup(snapshotter="native") == 0
        assert len(os.listdir(f"{daemon.root}/snapshots/native")) == 2
