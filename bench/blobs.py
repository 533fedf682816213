"""Blobs through the API: 256 MiB in and out, and a thousand small ones."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import wharfie
from bench.containerdapi import Api
from bench.daemons import Containerd, Wharfied
from bench.figure import Figure, in_turn, medians

LARGE_BYTES = 256 << 20
PIECE_BYTES = 1 << 20
SMALL = 1000
ROUNDS = 3
ROOT_LABEL = {"containerd.io/gc.root": "bench"}


def measure(ours: Wharfied, theirs: Containerd) -> list[Figure]:
    api = Api(theirs.address, "blobs")
    data = memoryview(os.urandom(LARGE_BYTES))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    figures = []
    with wharfie.connect(ours.address, namespace="blobs", timeout_s=120) as client:
        times: dict[str, dict[str, list[float]]] = {"ingest": {}, "read": {}}
        for last in range(ROUNDS - 1, -1, -1):
            _add(times["ingest"], in_turn(1, ours=lambda: _ingest(client, data), theirs=lambda: _write(api, data)))
            _add(
                times["read"],
                in_turn(1, ours=partial(_consume, client, digest), theirs=partial(_their_read, api, digest)),
            )
            if last:
                client.content.delete(digest)
                api.ask("content", "Delete", "DeleteContentRequest", digest=digest)
        for name, limit in (("ingest", 0.3), ("read", 1.0)):
            middle = medians(times[name])
            figures.append(
                Figure(
                    name=f"{name} of a blob of 256 MiB ({LARGE_BYTES / 2**20 / middle['ours'] * 1000:,.0f} MiB/s)",
                    ours=middle["ours"],
                    unit="ms",
                    peer=middle["theirs"],
                    limit=limit,
                )
            )
        ours_small, theirs_small = _Small(client.content.ingest), _Small(partial(_write, api))
        middle = medians(in_turn(SMALL, ours=ours_small, theirs=theirs_small))
        figures.append(
            Figure(
                name="one of 1,000 blobs of 1 KiB ingested",
                ours=middle["ours"] * 1000,
                unit="µs",
                peer=middle["theirs"] * 1000,
                limit=0.8,
            )
        )
        client.content.delete(digest)
    api.ask("content", "Delete", "DeleteContentRequest", digest=digest)
    api.close()
    return figures


class _Small:
    """Ingests another small blob with every call."""

    def __init__(self, ingest: Callable[[Any], object]) -> None:
        self._ingest = ingest
        self._blobs = iter([os.urandom(1024) for _ in range(SMALL)])

    def __call__(self) -> None:
        self._ingest(next(self._blobs))


def _add(times: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for name, values in more.items():
        times.setdefault(name, []).extend(values)


def _ingest(client: wharfie.Client, data: memoryview) -> None:
    client.content.ingest(data)


def _consume(client: wharfie.Client, digest: str) -> None:
    assert sum(len(part) for part in client.content.stream(digest)) == LARGE_BYTES


def _write(api: Api, data: memoryview) -> None:
    pb = api.pb["content"]
    ref = uuid.uuid4().hex

    def requests() -> Iterator[Any]:
        offset = 0
        while offset < len(data):
            piece = bytes(data[offset : offset + PIECE_BYTES])
            yield pb.WriteContentRequest(action=1, ref=ref, total=len(data), offset=offset, data=piece)
            offset += len(piece)
        yield pb.WriteContentRequest(action=2, ref=ref, total=len(data), offset=offset, labels=ROOT_LABEL)

    for _ in api.stream("content", "Write", requests()):
        pass


def _their_read(api: Api, digest: str) -> None:
    answers = api.ask("content", "Read", "ReadContentRequest", digest=digest)
    assert sum(len(answer.data) for answer in answers) == LARGE_BYTES
