"""Garbage collection: what a client notices of it while 10,000 blobs with 100,000 references are marked and swept."""

from __future__ import annotations

import hashlib
import threading
import time

import wharfie
from bench.daemons import Wharfied
from bench.figure import Figure
from wharfie.types.base import Descriptor

BLOBS = 10_000
REFERENCES_EACH = 10
LIMIT_MS = 50


def measure(ours: Wharfied) -> list[Figure]:
    """Half of the blobs are reachable from an image; the other half goes."""
    with wharfie.connect(ours.address, namespace="collection", timeout_s=300) as client:
        digests = _fill(client)
        kept = BLOBS // 2
        client.images.create("kept", Descriptor(media_type="a/b", digest=digests[0], size=1))
        worst, count, seconds = _collect_beside_a_client(ours, client)
        assert len(client.content.list()) == kept, "what the image reaches stays, and nothing else"
        client.images.delete("kept", sync=True)
        assert not client.content.list()
    return [
        Figure(
            name=f"collection of {BLOBS:,} blobs with {BLOBS * REFERENCES_EACH:,} references: longest wait of a client",
            ours=worst * 1000,
            unit="ms",
            limit=LIMIT_MS,
            floor=f"{seconds:.2f} s in all, {count:,} calls meanwhile",
        )
    ]


def _fill(client: wharfie.Client) -> list[str]:
    """Blobs of two halves, each referring to later ones of its own half: from the first of a half all of it is reached."""
    contents = [str(number).encode() for number in range(BLOBS)]
    digests = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in contents]
    half = BLOBS // 2
    lease = client.leases.create("filling")
    held = client.with_lease(lease.id)
    for number, data in enumerate(contents):
        end = half if number < half else BLOBS
        following = {min(number + 1 + step * step, end - 1) for step in range(REFERENCES_EACH)} - {number}
        labels = {f"containerd.io/gc.ref.content.{step}": digests[to] for step, to in enumerate(following)}
        held.content.put(data, labels=labels)
    return digests


def _collect_beside_a_client(ours: Wharfied, client: wharfie.Client) -> tuple[float, int, float]:
    """Delete the lease and collect, while another client asks in a loop: its longest wait, its calls, and the time."""
    worst, count = 0.0, 0
    done = threading.Event()

    def ask() -> None:
        nonlocal worst, count
        with wharfie.connect(ours.address, namespace="collection") as other:
            while not done.is_set():
                start = time.perf_counter()
                other.images.get("kept")
                worst = max(worst, time.perf_counter() - start)
                count += 1

    thread = threading.Thread(target=ask)
    thread.start()
    start = time.perf_counter()
    client.leases.delete("filling")
    client.gc.run()
    seconds = time.perf_counter() - start
    done.set()
    thread.join()
    return worst, count, seconds
