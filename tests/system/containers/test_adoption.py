"""Tasks outlive the daemon and its parts: found again, and their ends told once and truly."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import wharfie
from linux import procfs
from tests.support import busybox, inventory
from tests.support.daemon import Daemon
from tests.support.wait import until
from wharfie.types.tasks import Status

NAME = "busybox:latest"


class Rig:
    """A daemon of the test's own, in a namespace of its own."""

    def __init__(self, daemon: Daemon, namespace: str) -> None:
        self.daemon = daemon
        self.namespace = namespace
        self.client = self.connect()

    def connect(self) -> wharfie.Client:
        return wharfie.connect(str(self.daemon.address), namespace=self.namespace, timeout_s=30)

    def restart(self) -> None:
        """Kill the daemon, all of it but the shims, and start it again."""
        self.daemon.kill()
        self.daemon.start()

    def ready(self) -> None:
        self.daemon.wait_notified("READY=1")

    def run(self, name: str, *command: str) -> wharfie.Task:
        return self.client.containers.create(NAME, command or ["sleep", "1000"], id=name).start()

    def worker(self) -> int:
        """The pid of the runtime worker."""
        return next(actor.pid for actor in self.client.supervisor.list() if actor.name == "runtime")

    def shim_of(self, name: str) -> int:
        return self.client.tasks.get(name).shim_pid

    def exits(self, name: str, after_seq: int) -> list[int]:
        """The exit statuses that were told of a container so far."""
        mark = self.client.events.publish("/test/mark")
        found: list[Any] = []
        for envelope in self.client.events.subscribe(after_seq=after_seq):
            if envelope.seq == mark:
                return found
            if envelope.topic == "/tasks/exit" and envelope.event["id"] == name:
                found.append(envelope.event["exit_status"])
        raise AssertionError("the stream ended")

    def remove_all(self) -> None:
        for container in self.client.containers.list():
            container.delete(force=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    namespace = f"adopt-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="adopt-", dir="/dev/shm") as directory, Daemon() as daemon:
        made = Rig(daemon, namespace)
        made.client.images.import_(busybox.archive(f"{directory}/busybox.tar"))
        yield made
        with contextlib.suppress(wharfie.WharfieError):
            made.remove_all()
            until(lambda: not inventory.cgroups(namespace))
        made.client.close()


def test_an_exit_while_the_daemon_is_down_is_told_once_and_truly(rig: Rig) -> None:
    mark = rig.client.events.publish("/test/mark")
    task = rig.run("c", "sh", "-c", "trap 'exit 5' USR1; while :; do sleep 0.01; done")
    pid = rig.client.tasks.get("c").pid
    rig.daemon.kill()
    os.kill(pid, signal.SIGUSR1)
    until(lambda: not procfs.is_alive(pid))
    rig.daemon.start()
    assert task.wait(timeout_s=30).exit_status == 5
    until(lambda: rig.exits("c", mark))
    assert rig.exits("c", mark) == [5]
    assert task.delete().exit_status == 5


def test_every_task_is_listed_after_a_restart_and_none_is_touched(rig: Rig) -> None:
    names = [f"c{number}" for number in range(8)]
    for name in names:
        rig.run(name)
    before = {name: rig.client.tasks.get(name).pid for name in names}
    rig.restart()
    rig.ready()
    assert [task.container_id for task in rig.client.tasks.list()] == names
    until(lambda: {task.status for task in rig.client.tasks.list()} == {Status.RUNNING})
    assert {task.container_id: task.pid for task in rig.client.tasks.list()} == before
    assert rig.client.containers.get("c3").exec(["echo", "hi"]).stdout == b"hi\n"


def test_a_silent_shim_delays_neither_the_boot_nor_another_task(rig: Rig) -> None:
    rig.run("quiet")
    rig.run("loud")
    shim = rig.shim_of("quiet")
    os.kill(shim, signal.SIGSTOP)
    try:
        rig.restart()
        rig.ready()
        assert rig.client.tasks.get("loud").status is Status.RUNNING
        listed = {task.container_id: task.status for task in rig.client.tasks.list()}
        assert listed == {"loud": Status.RUNNING, "quiet": Status.UNKNOWN}
    finally:
        os.kill(shim, signal.SIGCONT)
    until(lambda: rig.client.tasks.get("quiet").status is Status.RUNNING)


def test_a_killed_shim_ends_its_container_which_is_told_once(rig: Rig) -> None:
    mark = rig.client.events.publish("/test/mark")
    task = rig.run("c")
    pid = rig.client.tasks.get("c").pid
    os.kill(rig.shim_of("c"), signal.SIGKILL)
    assert task.wait(timeout_s=30).exit_status == 137
    until(lambda: not procfs.is_alive(pid))
    assert rig.client.tasks.get("c").status is Status.STOPPED
    until(lambda: rig.exits("c", mark))
    assert rig.exits("c", mark) == [137]
    task.delete()
    rig.client.containers.get("c").delete()
    assert rig.client.run(NAME, ["echo", "again"], name="c").stdout == b"again\n"


def test_the_exit_of_a_container_that_had_ended_is_in_its_shims_journal(rig: Rig) -> None:
    task = rig.run("c", "sh", "-c", "exit 9")
    assert task.wait().exit_status == 9
    shim = rig.shim_of("c")
    rig.daemon.kill()
    os.kill(shim, signal.SIGKILL)
    rig.daemon.start()
    assert task.wait(timeout_s=30).exit_status == 9
    assert task.delete().exit_status == 9


def test_a_shim_that_died_with_the_daemon_is_cleaned_up_after_the_restart(rig: Rig) -> None:
    mark = rig.client.events.publish("/test/mark")
    task = rig.run("c")
    pid, shim = rig.client.tasks.get("c").pid, rig.shim_of("c")
    rig.daemon.kill()
    os.kill(shim, signal.SIGKILL)
    assert procfs.is_alive(pid), "nobody is there to end it"
    rig.daemon.start()
    assert task.wait(timeout_s=30).exit_status == 137
    assert not procfs.is_alive(pid)
    until(lambda: rig.exits("c", mark))
    assert rig.exits("c", mark) == [137]


def test_a_wait_outlives_the_worker_and_the_daemon(rig: Rig) -> None:
    task = rig.run("c", "sh", "-c", "trap 'exit 6' USR1; while :; do sleep 0.01; done")
    pid = rig.client.tasks.get("c").pid
    answers = []
    with rig.connect() as other:
        waiting = threading.Thread(target=lambda: answers.append(other.tasks.wait("c").exit_status))
        waiting.start()
        os.kill(rig.worker(), signal.SIGKILL)
        until(lambda: rig.client.tasks.get("c").status is Status.RUNNING)
        rig.restart()
        rig.ready()
        os.kill(pid, signal.SIGUSR1)
        waiting.join(timeout=30)
    assert answers == [6]
    task.delete()


def test_a_container_that_is_shared_with_nobody_leaves_nothing_when_all_of_it_is_killed(rig: Rig) -> None:
    rig.run("c")
    os.kill(rig.shim_of("c"), signal.SIGKILL)
    os.kill(rig.worker(), signal.SIGKILL)
    rig.remove_all()
    kinds = ("bundles", "mounts", "cgroups", "shim sockets", "runtime state")

    def left() -> dict[str, list[str]]:
        found = inventory.on_disk(rig.daemon.root, rig.daemon.state, namespace=rig.namespace)
        return {kind: found[kind] for kind in kinds if found[kind]}

    until(lambda: not left())


def test_a_killed_nursery_costs_no_container(rig: Rig) -> None:
    rig.run("a")
    for name in "bcd":
        for pid in rig.daemon.descendants():
            with contextlib.suppress(ProcessLookupError):
                if procfs.name(pid) == "wharfie-nursery":
                    os.kill(pid, signal.SIGKILL)
        rig.run(name)
    assert [task.status for task in rig.client.tasks.list()] == [Status.RUNNING] * 4


def test_a_shim_owns_little_memory(rig: Rig) -> None:
    names = [f"c{number}" for number in range(12)]
    for name in names:
        rig.run(name)
    private = [_private_bytes(rig.shim_of(name)) for name in names]
    assert sum(private) / len(private) < 1_700_000


def _private_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_"))
