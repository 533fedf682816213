"""Kill -9 of a part, to the next answer that it gives."""

from __future__ import annotations

import os
import signal
import statistics
import time

import wharfie
from bench.daemons import Wharfied
from bench.figure import Figure
from wharfie.methods import WORKERS
from wharfie.types.base import Empty

KILLS = 100


def measure(ours: Wharfied) -> list[Figure]:
    with wharfie.connect(ours.address) as client:
        workers: list[float] = []
        for number in range(KILLS):
            name = WORKERS[number % len(WORKERS)]
            pid = next(actor.pid for actor in client.supervisor.list() if actor.name == name)
            start = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            client._caller.tell(f"{name}.ping", Empty())
            # The first ping may still have been answered by nobody: it waits in the router for the next incarnation.
            workers.append((time.perf_counter() - start) * 1000)
            _until_ready(client, name)
        routers: list[float] = []
        for _ in range(30):
            pid = next(actor.pid for actor in client.supervisor.list() if actor.name == "router")
            start = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            client.version()
            routers.append((time.perf_counter() - start) * 1000)
            _until_ready(client, "router")
    return [
        Figure(
            name="kill -9 of a worker to its next answer, median of 100",
            ours=statistics.median(workers),
            unit="ms",
            limit=20,
        ),
        Figure(name="the same, worst of 100", ours=max(workers), unit="ms", limit=200),
        Figure(
            name="kill -9 of the router to the next answer, median of 30",
            ours=statistics.median(routers),
            unit="ms",
            limit=50,
            floor=f"worst {max(routers):.1f} ms",
        ),
    ]


def _until_ready(client: wharfie.Client, name: str) -> None:
    deadline = time.monotonic() + 10
    while next(actor.state for actor in client.supervisor.list() if actor.name == name) != "ready":
        assert time.monotonic() < deadline
        time.sleep(0.002)
