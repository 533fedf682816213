"""Kill -9 at each named step of a pull and a push, and of every part in the middle of a layer: they succeed all the same."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import uuid
from collections.abc import Iterator

import pytest

import wharfie
from linux import procfs
from tests.support.archives import busybox_tree
from tests.support.failpoints import all_names
from tests.support.faultyproxy import Fault, FaultyProxy
from tests.support.httpserver import Exchange
from tests.support.registry import Registry
from tests.support.remoteimages import Remote, publish
from tests.support.wait import until
from tests.system.transfer.conftest import Rig
from wharfie.types.transfer import Progress

OURS = (
    "transfer.pull.",
    "transfer.push.",
    "transfer.fetch.",
    "transfer.job.fetch",
    "transfer.job.unpack",
    "transfer.unpack.",
)
POINTS = sorted(name for name in all_names() if name.startswith(OURS))
NOISE = random.Random(11).randbytes(3_000_000)
PARTS = ("content", "metadata", "snapshot", "transfer", "router", "fetch", "unpack")


@pytest.fixture(scope="module")
def remote(registry: Registry) -> Remote:
    """A small layer, one that arrives in pieces, and a busybox."""
    return publish(registry, "image", "1", {"small": b"of one call"}, {"noise": NOISE}, busybox_tree())


def is_whole(rig: Rig, remote: Remote) -> None:
    """The image runs, and is all there is."""
    assert rig.names() == [remote.ref]
    until(lambda: not [name for name in rig.snapshots() if not name.startswith("sha256:")], deadline_s=30)
    assert len(rig.snapshots()) == len(remote.layers)
    until(lambda: len(rig.layer_directories()) == len(remote.layers), deadline_s=30)
    assert len(rig.client.content.list()) == len(remote.layers) + 2
    assert rig.client.content.statuses() == []
    assert not [lease.id for lease in rig.client.leases.list() if "pull" in lease.id]
    done = rig.client.run(remote.ref, ["sh", "-c", "cat small; wc -c < noise"], timeout_s=60)
    assert (done.exit_code, done.stdout) == (0, b"of one call3000000\n")


def pushed(rig: Rig, registry: Registry, remote: Remote) -> None:
    """Push it to a repository of its own, and look there."""
    repository = f"copy-{uuid.uuid4().hex[:8]}"
    result = rig.client.images.push(remote.ref, f"{registry.host}/{repository}:2", timeout_s=60)
    assert result.target.digest == remote.manifest.digest
    _, headers, _ = registry.request(
        "HEAD", f"/v2/{repository}/manifests/2", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
    )
    assert headers["docker-content-digest"] == remote.manifest.digest


@pytest.mark.parametrize("point", POINTS)
def test_whoever_is_killed_at_a_step_pull_and_push_succeed(
    rig: Rig, registry: Registry, remote: Remote, point: str
) -> None:
    rig.points.arm(point)
    rig.client.images.pull(remote.ref, timeout_s=60)
    is_whole(rig, remote)
    pushed(rig, registry, remote)
    assert rig.points.was_hit(point)
    is_whole(rig, remote)


class Gate:
    """A registry's answer that stands still in the middle of it until the gate is opened."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.reached = threading.Event()
        self.open = threading.Event()

    @property
    def fault(self) -> Fault:
        def fault(exchange: Exchange, proxy: FaultyProxy) -> None:
            def slowly(chunks: Iterator[bytes]) -> Iterator[bytes]:
                passed = 0
                for chunk in chunks:
                    yield chunk
                    passed += len(chunk)
                    if passed >= self._count and not self.reached.is_set():
                        exchange.wfile.flush()
                        self.reached.set()
                        self.open.wait(60)

            proxy.forward(exchange, slowly)

        return fault


def jobs(rig: Rig, name: str) -> list[int]:
    """The pids of the jobs of this name that still run."""
    found = []
    for pid in rig.jobs():
        with contextlib.suppress(ProcessLookupError):
            if procfs.name(pid) == f"wharfie-{name}":
                found.append(pid)
    return found


def pid_of(rig: Rig, part: str) -> int:
    if part not in ("fetch", "unpack"):
        return rig.actors()[part]
    return jobs(rig, part)[0]


@pytest.mark.parametrize("part", PARTS)
def test_the_death_of_a_part_in_the_middle_of_a_layer_costs_no_byte_that_was_stored(
    rig: Rig, registry: Registry, remote: Remote, part: str
) -> None:
    gate = Gate(2_000_000)
    noise = remote.layers[1]
    with FaultyProxy(registry.url) as proxy:
        proxy.on("GET", noise.digest, gate.fault)
        ref = f"{proxy.host}/image:1"
        outcome: list[object] = []
        items: list[Progress] = []

        def pull() -> None:
            with wharfie.connect(str(rig.daemon.address), namespace="ci", timeout_s=60) as client:
                try:
                    outcome.append(client.images.pull(ref, on_progress=items.append, timeout_s=60))
                except wharfie.WharfieError as error:
                    outcome.append(error)

        thread = threading.Thread(target=pull)
        thread.start()
        try:
            assert gate.reached.wait(30)

            def stored() -> int:
                return max(
                    (status.offset for status in rig.client.content.statuses() if noise.digest in status.ref), default=0
                )

            until(lambda: stored() > 1_500_000, deadline_s=30)
            # The busybox has been unpacked; the noise is what is left.
            until(
                lambda: any((item.event, item.name) == ("unpacking", noise.digest) for item in [*items]), deadline_s=30
            )
            until(lambda: len(jobs(rig, "unpack")) == 1, deadline_s=30)
            before = stored()
            os.kill(pid_of(rig, part), signal.SIGKILL)
        finally:
            if part != "transfer" and part != "fetch":
                gate.open.set()
            thread.join(90)
            gate.open.set()
        assert not thread.is_alive()
        (pulled,) = outcome
        assert isinstance(pulled, wharfie.types.pull.Pulled), pulled
        asked = proxy.seen("GET", noise.digest)
        if part in ("transfer", "fetch"):
            assert len(asked) == 2
            start = int(asked[1].headers["range"].removeprefix("bytes=").partition("-")[0])
            assert start >= before, "what was stored is not fetched again"
        else:
            assert len(asked) == 1
        assert rig.client.run(ref, ["cat", "small"], timeout_s=60).stdout == b"of one call"
