"""Round trips and requests a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import wharfie
from bench import zbroker
from bench.containerdapi import Api
from bench.daemons import Containerd, Wharfied
from bench.figure import Figure
from wharfie.session import Pending
from wharfie.types import namespaces

OUTSTANDING = 64


def measure(ours: Wharfied, theirs: Containerd, directory: str) -> list[Figure]:
    api = Api(theirs.address)
    with wharfie.connect(ours.address) as client:
        floor = zbroker.measure(directory)
        version = {"ours": 0.0, "through a worker": 0.0, "theirs": 0.0}
        doers: dict[str, Callable[[], object]] = {
            "ours": client.version,
            "through a worker": lambda: client.namespaces.get("x"),
            "theirs": api.version_call,
        }
        for name, do in doers.items():
            for _ in range(200):
                do()
            version[name] = _median_us(do)
        rate = _pipelined(client, "version.get", namespaces.List())
        worker_rate = _pipelined(client, "namespaces.get", namespaces.Get(name="x"))
        their_rate = _their_rate(api)
    api.close()
    return [
        Figure(
            name="round trip of `version`, against a plain broker",
            ours=version["ours"],
            unit="µs",
            peer=floor,
            peer_name="three-process broker",
            limit=1.5,
        ),
        Figure(
            name="round trip of `version`, against containerd",
            ours=version["ours"],
            unit="µs",
            peer=version["theirs"],
            limit=1.1,
        ),
        Figure(
            name="round trip through a worker (`namespaces.get`), against a plain broker",
            ours=version["through a worker"],
            unit="µs",
            peer=floor,
            peer_name="three-process broker",
        ),
        Figure(
            name="round trip through a worker, against containerd's `version`",
            ours=version["through a worker"],
            unit="µs",
            peer=version["theirs"],
        ),
        Figure(
            name="requests a second, 64 outstanding (`version`)",
            ours=rate,
            unit="/s",
            peer=their_rate,
            limit=2.0,
            higher=True,
        ),
        Figure(
            name="requests a second, 64 outstanding, through a worker",
            ours=worker_rate,
            unit="/s",
            peer=their_rate,
            higher=True,
        ),
    ]


def _median_us(do: Callable[[], object]) -> float:
    times = []
    for _ in range(3000):
        start = time.perf_counter()
        do()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _pipelined(
    client: wharfie.Client, method: str, request: namespaces.Get | namespaces.List, *, seconds: float = 3.0
) -> float:
    channel = client._channel
    pending: list[Pending] = []
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        while len(pending) < OUTSTANDING:
            pending.append(channel._open(method, request, namespace="", timeout_s=60))
        with channel._turn:
            channel._await_news(1)
        for one in [one for one in pending if one.done]:
            assert one.error is None
            channel._session.close(one)
            count += 1
        pending = [one for one in pending if not one.done]
    return count / (time.perf_counter() - start)


def _their_rate(api: Api, *, seconds: float = 3.0) -> float:
    pending: list[Any] = []
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        while len(pending) < OUTSTANDING:
            pending.append(api.version_future())
        pending.pop(0).result()
        count += 1
    return count / (time.perf_counter() - start)
