"""Kill -9 of every part under load: no request fails, nothing leaks."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Self

import pytest

import wharfie
from linux import procfs
from tests.support import busybox, inventory
from tests.support.daemon import Daemon
from tests.support.wait import until
from wharfie.methods import WORKERS

NAME = "busybox:latest"
CONFIG = "[supervisor]\nintensity = 100000\n"


@pytest.fixture
def archive() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="kills-", dir="/dev/shm") as directory:
        yield busybox.archive(f"{directory}/busybox.tar")


class Load:
    """Clients in threads that read, write and run containers until told to stop; keeps what failed."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.answers = 0
        self.runs = 0
        self._threads = [
            threading.Thread(target=self._guard, args=(work,)) for work in (self._read, self._write, self._run)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a call never came back"

    def _guard(self, work: object) -> None:
        with wharfie.connect(self._address, timeout_s=60, connect_timeout_s=20) as client:
            count = 0
            while not self._stop.is_set():
                count += 1
                try:
                    work(client, count)  # type: ignore[operator]
                    self.answers += 1
                except Exception as error:
                    self.failures.append(f"{type(error).__name__}: {error}")

    def _read(self, client: wharfie.Client, count: int) -> None:
        client.version()
        assert client.namespaces.get("default").name == "default"
        client.tasks.list()
        client.content.statuses()

    def _write(self, client: wharfie.Client, count: int) -> None:
        name = f"n{count}"
        client.namespaces.create(name)
        client.namespaces.delete(name)
        key = f"load-{count}"
        client.snapshots.prepare(key)
        client.snapshots.remove(key)
        data = f"blob {count}".encode()
        info = client.content.ingest(data)
        assert client.content.read(info.digest) == data
        client.content.delete(info.digest)

    def _run(self, client: wharfie.Client, count: int) -> None:
        done = client.run(NAME, ["echo", str(count)])
        assert (done.exit_code, done.stdout) == (0, f"{count}\n".encode()), done
        self.runs += 1


def kill_often(daemon: Daemon, count: int, *, names: tuple[str, ...]) -> None:
    """SIGKILL to the named parts by turns, each when it is ready again."""
    with wharfie.connect(str(daemon.address), timeout_s=60) as client:
        for number in range(count):
            name = names[number % len(names)]

            def pid_of(name: str = name) -> int:
                return next(
                    (actor.pid for actor in client.supervisor.list() if actor.name == name and actor.state == "ready"),
                    0,
                )

            # It may be gone by now: what is killed while it starts has been killed, too.
            with contextlib.suppress(ProcessLookupError):
                os.kill(until(pid_of, deadline_s=20), signal.SIGKILL)


def leaks_nothing(daemon: Daemon, count: int) -> None:
    with Load(str(daemon.address)) as load:
        until(lambda: load.runs >= 2, deadline_s=30)
        before = resources(daemon)
        kill_often(daemon, count, names=WORKERS)
    assert not load.failures, load.failures[:5]
    assert load.runs > 2
    # The last containers' shims are still going: each is a descriptor of the supervisor.
    until(lambda: resources(daemon)["supervisor fds"] <= before["supervisor fds"] + 2, deadline_s=60)
    assert resources(daemon)["threads"] <= before["threads"] + 1
    until(lambda: not zombies(daemon))


def shims_end(daemon: Daemon) -> None:
    """Wait for the last shims: one whose create was cut short notices by itself that nobody needs it."""

    def shims() -> list[int]:
        return [pid for pid in daemon.descendants() if procfs.is_alive(pid) and procfs.name(pid) == "wharfie-shim"]

    until(lambda: not shims(), deadline_s=10)


def resources(daemon: Daemon) -> dict[str, int]:
    """Descriptors and threads of the supervisor."""
    return {
        "supervisor fds": len(os.listdir(f"/proc/{daemon.pid}/fd")),
        "threads": len(os.listdir(f"/proc/{daemon.pid}/task")),
    }


def zombies(daemon: Daemon) -> list[int]:
    found = []
    for pid in daemon.descendants():
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.timeout(150)
def test_worker_kills_under_load_fail_no_request_and_leak_nothing(archive: str) -> None:
    with Daemon(config=CONFIG) as daemon:
        with wharfie.connect(str(daemon.address)) as client:
            client.images.import_(archive)
        leaks_nothing(daemon, 60)
        with wharfie.connect(str(daemon.address)) as client:
            assert not client.containers.list()
            # A delete that was cut short goes on when the worker is back; a create that nobody asks for again is undone.
            until(lambda: not client.tasks.list(), deadline_s=20)
            until(lambda: not inventory.of(client)["ingests"], deadline_s=20)
        shims_end(daemon)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_thousand_worker_kills_under_load_fail_no_request_and_leak_nothing(archive: str) -> None:
    with Daemon(config=CONFIG) as daemon:
        with wharfie.connect(str(daemon.address)) as client:
            client.images.import_(archive)
        leaks_nothing(daemon, 1000)
        shims_end(daemon)


@pytest.mark.timeout(120)
def test_router_kills_under_load_fail_no_request(archive: str) -> None:
    with Daemon(config=CONFIG) as daemon:
        with wharfie.connect(str(daemon.address)) as client:
            client.images.import_(archive)
        with Load(str(daemon.address)) as load:
            until(lambda: load.runs >= 1, deadline_s=30)
            kill_often(daemon, 15, names=("router",))
        assert not load.failures, load.failures[:5]
        shims_end(daemon)


@pytest.mark.timeout(120)
def test_the_death_of_the_whole_daemon_costs_no_container_no_exit_code_and_no_request(archive: str) -> None:
    with Daemon(config=CONFIG) as daemon, wharfie.connect(str(daemon.address), timeout_s=60) as client:
        client.images.import_(archive)
        sleeper = client.containers.create(NAME, ["sleep", "600"], id="sleeper")
        sleeper.start()
        brief = client.containers.create(
            NAME, ["sh", "-c", "while ! test -e /tmp/go; do sleep 0.01; done; exit 9"], id="brief"
        )
        task = brief.start()
        pid = sleeper.task.state().pid
        results: list[int] = []
        waiter = threading.Thread(target=lambda: results.append(client.tasks.wait("brief").exit_status))
        waiter.start()
        seen: list[int] = []
        rootfs = f"/proc/{task.pid}/root/tmp/go"
        daemon.kill()
        open(rootfs, "w").close()
        until(lambda: not os.path.exists(f"/proc/{task.pid}") or is_zombie(task.pid))
        daemon.start()
        daemon.wait_notified("READY=1")
        waiter.join(30)
        assert results == [9], "the exit that happened meanwhile is lost"
        assert sleeper.task.state().pid == pid
        assert sleeper.exec(["echo", "alive"]).stdout == b"alive\n"
        for envelope in client.events.subscribe(["topic==/tasks/exit"], after_seq=0):
            seen.append(envelope.event["exit_status"])
            break
        assert seen == [9]
        brief.delete()
        sleeper.delete(force=True)
        until(lambda: not client.tasks.list())


def is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
