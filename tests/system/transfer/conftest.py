"""One daemon for the tests of imports, with failpoints; after each test everything is removed and nothing may stay."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.support import inventory
from tests.support.daemon import Daemon
from tests.support.failpoints import Failpoints
from tests.support.faultyproxy import FaultyProxy
from tests.support.registry import Registry
from tests.support.wait import until


class Rig:
    """A daemon, a client of it, and a place for archives."""

    def __init__(self, daemon: Daemon, points: Failpoints, client: wharfie.Client, directory: str) -> None:
        self.daemon = daemon
        self.points = points
        self.client = client
        self.directory = Path(directory)
        self._number = 0

    def archive(self, data: bytes) -> str:
        """A file with these bytes."""
        self._number += 1
        path = self.directory / f"{self._number}.tar"
        path.write_bytes(data)
        return str(path)

    def names(self) -> list[str]:
        return [image.name for image in self.client.images.list()]

    def snapshots(self, snapshotter: str = "") -> list[str]:
        return [info.name for info in self.client.snapshots.list(snapshotter=snapshotter)]

    def layer_directories(self) -> list[str]:
        root = self.daemon.root / "snapshots/overlayfs"
        return sorted(name for name in os.listdir(root) if name.isdigit())

    def actors(self) -> dict[str, int]:
        """Pid by name."""
        return {actor.name: actor.pid for actor in self.client.supervisor.list()}

    def stopped(self) -> list[int]:
        """The pids of workers and jobs that a failpoint has stopped. Asks the kernel: a router may stand still."""
        return [pid for pid in self.daemon.descendants() if state(pid) == "T"]

    def jobs(self) -> list[int]:
        """The pids of the jobs that run."""
        return [node.pid for node in self.client.supervisor.get("transfer").children]

    def snapshotters(self) -> list[str]:
        """Those that work in this kernel."""
        plugins = self.client.plugins.list()
        return [found.id for found in plugins if found.type == "snapshotter.v1" and found.status == "ok"]

    def clear(self) -> None:
        inventory.clear(self.client, ("overlayfs", "native", "erofs"))


def state(pid: int) -> str:
    """The letter of a process's state; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextlib.contextmanager
def started(config: str = "") -> Iterator[Rig]:
    """A daemon and a client of it; `config` is more of its configuration."""
    with tempfile.TemporaryDirectory(prefix="transfer-", dir="/dev/shm") as directory:
        points = Failpoints(f"{directory}/points")
        with (
            Daemon(config=f"[supervisor]\nintensity = 100000\n{config}", environment=points.environment) as daemon,
            wharfie.connect(str(daemon.address), namespace="ci", timeout_s=60) as client,
        ):
            yield Rig(daemon, points, client, directory)


@pytest.fixture(scope="module")
def running() -> Iterator[Rig]:
    """One for all tests of a module."""
    with started() as rig:
        yield rig


@pytest.fixture
def own() -> Iterator[Rig]:
    """One for a test that kills the daemon itself."""
    with started() as rig:
        yield rig


@pytest.fixture
def rig(running: Rig) -> Iterator[Rig]:
    yield running
    for name in os.listdir(running.points.directory):
        (running.points.directory / name).unlink()
    running.clear()
    assert running.client.content.statuses() == []
    until(lambda: not running.layer_directories())
    until(lambda: not running.jobs())


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """One that asks nobody who he is."""
    with tempfile.TemporaryDirectory(prefix="registry-", dir="/dev/shm") as directory, Registry(Path(directory)) as it:
        yield it


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultyProxy]:
    """Before that registry; it sees what is asked."""
    with FaultyProxy(registry.url) as it:
        yield it
