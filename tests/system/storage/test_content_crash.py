"""Every named step of the content worker, with the worker killed there, and with the whole daemon killed there.

The caller notices nothing but the time: each call is answered once, as it would have been, and what is on disk is what
the namespaces name.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from actors.internal import IngestFile
from tests.support.failpoints import all_names
from tests.support.storage import Storage
from wharfie import Client
from wharfie.types import content as t

POINTS = sorted(name for name in all_names() if name.startswith("content."))


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def on_disk(daemon: Storage) -> set[str]:
    return {f"sha256:{path.name}" for path in Path(daemon.root).glob("content/blobs/sha256/*")}


def go_through_everything(daemon: Storage, one: Client, two: Client, seed: str) -> None:
    """Pass every step of the content worker, with answers that must be those of the first time."""
    small = f"small {seed}".encode()
    large = hashlib.shake_256(seed.encode()).digest(1_500_000)
    # Written in pieces, the small ones in the loop and the large ones in the thread pool.
    assert one.content.write("ref", large[:1000], total=len(large), expected=digest_of(large)).offset == 1000
    assert one.content.write("ref", large[1000:2000], offset=1000).offset == 2000
    assert one.content.write("ref", large[2000:], offset=2000).offset == len(large)
    info = one.content.commit("ref", size=len(large), expected=digest_of(large), labels={"a": "b"})
    assert (info.digest, info.size, info.labels) == (digest_of(large), len(large), {"a": "b"})
    # Begun anew, and dropped.
    one.content.write("dropped", b"first")
    assert one.content.write("dropped", b"second").offset == 6
    one.content.abort("dropped")
    # In another namespace, with the bytes of the first, then unannounced.
    shared = t.Write(ref="shared", expected=digest_of(large))
    assert two.content._caller.call("content.write", shared, t.Status).offset == len(large)
    assert two.content.commit("shared").digest == digest_of(large)
    one.content.write("small", small)
    assert one.content.commit("small").size == len(small)
    two.content.write("small", small)
    assert two.content.commit("small").size == len(small)
    # In one call, new and known.
    assert one.content.put(small + b"!", labels={"a": "b"}).new
    assert not one.content.put(small + b"!", expected=digest_of(small + b"!")).new
    one.content.delete(digest_of(small + b"!"))
    # From a local file.
    source = Path(daemon.directory, "source")
    source.write_bytes(b"before" + seed.encode() * 1000 + b"after")
    piece = seed.encode() * 1000
    request = IngestFile(path=str(source), offset=6, length=len(piece), digest=digest_of(piece))
    ingested = daemon.ingest_file(one, request)
    assert Path(ingested.path).read_bytes() == piece
    # Deleted here and still there, then deleted everywhere.
    one.content.delete(digest_of(small))
    assert two.content.read(digest_of(small)) == small
    two.content.delete(digest_of(small))
    # Garbage, collected.
    lease = one.leases.create()
    garbage = one.with_lease(lease.id).content.ingest(b"garbage " + small).digest
    one.leases.delete(lease.id, sync=True)
    assert garbage not in on_disk(daemon)


def check(daemon: Storage, one: Client, two: Client, seed: str, before: set[str]) -> None:
    """Nothing lost, nothing left over."""
    large = hashlib.shake_256(seed.encode()).digest(1_500_000)
    piece = seed.encode() * 1000
    assert {info.digest for info in one.content.list()} == {digest_of(large), digest_of(piece)}
    assert {info.digest for info in two.content.list()} == {digest_of(large)}
    for client in (one, two):
        assert client.content.statuses() == []
        assert client.content.read(digest_of(large)) == large
    assert on_disk(daemon) - before == {digest_of(large), digest_of(piece)}
    # Records of what was done lie there for a minute; no bytes do.
    for directory, _, files in os.walk(f"{daemon.root}/content/ingest"):
        assert "data" not in files, directory
        assert not [name for name in (directory, *files) if "tmp-" in name]


@pytest.mark.parametrize("point", POINTS)
def test_the_worker_is_killed(daemon: Storage, point: str) -> None:
    seed = f"worker-{point}".replace(".", "-")
    with daemon.connect(namespace=f"{seed}-1"[:76]) as one, daemon.connect(namespace=f"{seed}-2"[:76]) as two:
        before = on_disk(daemon)
        daemon.failpoints.arm(point)
        go_through_everything(daemon, one, two, seed)
        assert daemon.failpoints.was_hit(point)
        check(daemon, one, two, seed, before)


@pytest.mark.parametrize("point", POINTS)
def test_the_whole_daemon_is_killed(mortal: Storage, point: str) -> None:
    seed = f"daemon-{point}".replace(".", "-")
    with mortal.connect(namespace=f"{seed}-1"[:76]) as one, mortal.connect(namespace=f"{seed}-2"[:76]) as two:
        before = on_disk(mortal)

        killer = mortal.kill_all_at(point)
        go_through_everything(mortal, one, two, seed)
        killer.join()
        check(mortal, one, two, seed, before)
