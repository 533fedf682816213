"""The real daemon, asked through the router as any client would."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

import wharfie
from linux import procfs
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.wait import until
from wharfie import Client, errors

ACTORS = {"router", "metadata", "content", "snapshot", "runtime", "transfer"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(config="[supervisor]\nintensity = 1000\n") as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with wharfie.connect(str(daemon.address)) as client:
        yield client


def wait_ready(client: Client) -> None:
    until(lambda: {actor.state for actor in client.supervisor.list()} == {"ready"})


def test_all_actors_are_listed_in_start_order(client: Client, daemon: Daemon) -> None:
    actors = {actor.name: actor for actor in client.supervisor.list()}
    assert set(actors) == ACTORS
    assert list(actors).index("metadata") < list(actors).index("transfer")
    assert {actor.pid for actor in actors.values()} == set(daemon.children().values())
    root = client.supervisor.tree()
    assert (root.pid, root.type) == (daemon.pid, "supervisor")
    assert {node.name for node in root.children} == ACTORS


def test_the_server_and_its_plugins_describe_themselves(client: Client, daemon: Daemon) -> None:
    plugins = {f"{plugin.type}.{plugin.id}": plugin for plugin in client.plugins.list()}
    assert plugins["snapshotter.v1.native"].status == "ok"
    assert plugins["metadata.v1.sqlite"].worker == "metadata"
    assert [p.id for p in client.plugins.list(["type==content.v1"])] == ["content"]


@pytest.mark.parametrize("name", sorted(ACTORS))
def test_restart_answers_once_the_next_incarnation_is_ready(client: Client, name: str) -> None:
    wait_ready(client)
    before = client.supervisor.get(name).actor
    client.supervisor.restart(name)
    until(lambda: client.supervisor.get(name).actor.state == "ready")
    after = client.supervisor.get(name).actor
    assert after.generation == before.generation + 1  # exactly one, though the router's death has requests sent again
    assert after.restarts == before.restarts


def test_the_router_cannot_be_stopped(client: Client) -> None:
    with pytest.raises(errors.FailedPrecondition, match="cannot be stopped"):
        client.supervisor.stop("router")


def test_requests_to_a_stopped_worker_wait_for_its_start(client: Client) -> None:
    client.supervisor.stop("metadata")
    assert client.supervisor.get("metadata").actor.state == "absent"
    with pytest.raises(errors.DeadlineExceeded):
        client.namespaces.list(timeout_s=0.2)
    client.supervisor.start("metadata")
    assert client.namespaces.list() == []


def test_an_unknown_actor_and_a_wrong_level_are_told(client: Client) -> None:
    with pytest.raises(errors.NotFound, match="there are"):
        client.supervisor.get("nobody")
    with pytest.raises(errors.InvalidArgument, match="loud"):
        client.supervisor.log_level("loud")
    client.supervisor.log_level("debug", "content")
    client.supervisor.log_level("info")


def test_a_dump_and_a_reload_are_answered(client: Client, daemon: Daemon) -> None:
    client.supervisor.dump()
    daemon.wait_log("stack dump", count=len(ACTORS))
    assert client.supervisor.reload().applied == []
    text = daemon.config.read_text()
    try:
        daemon.config.write_text(text + "[log]\nlevel = 7\n")
        with pytest.raises(errors.InvalidArgument, match="level"):
            client.supervisor.reload()
    finally:
        daemon.config.write_text(text)


def test_a_crash_report_names_what_was_in_flight(client: Client) -> None:
    wait_ready(client)
    content = client.supervisor.get("metadata").actor
    os.kill(content.pid, signal.SIGSTOP)
    with pytest.raises(errors.DeadlineExceeded):
        client.namespaces.list(timeout_s=0.2)
    os.kill(content.pid, signal.SIGCONT)
    until(lambda: client.namespaces.list() == [])
    crashes_before = len(client.supervisor.crash_reports("metadata"))
    os.kill(content.pid, signal.SIGSTOP)
    asking = subprocess.Popen(
        [sys.executable, "-c", f"import wharfie; wharfie.connect({client.address!r}).namespaces.list()"],
        cwd=REPOSITORY,
    )
    until(lambda: client.supervisor.router_stats()["workers"]["metadata"]["in_flight"] == 1)
    os.kill(content.pid, signal.SIGKILL)
    assert asking.wait(10) == 0  # the read was sent again to the next incarnation
    until(lambda: len(client.supervisor.crash_reports("metadata")) > crashes_before)
    crash = client.supervisor.crash_reports("metadata")[-1]
    assert crash.in_flight == ["namespaces.list"]
    assert (crash.reason, crash.was_ready) == ("SIGKILL", True)


def version(client: Client) -> object:
    return client.version()


def namespaces(client: Client) -> object:
    return client.namespaces.list()


@pytest.mark.parametrize(("name", "ask"), [("router", version), ("metadata", namespaces)])
def test_the_next_answer_after_a_kill_comes_within_milliseconds(
    client: Client, name: str, ask: Callable[[Client], object]
) -> None:
    """No request fails. The figures are `make bench`'s; here is room for a busy machine."""
    wait_ready(client)
    times_s = []
    for _ in range(7):
        pid = client.supervisor.get(name).actor.pid
        begin_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not procfs.is_alive(pid))  # type: ignore[misc]
        ask(client)
        times_s.append(time.monotonic() - begin_s)
        until(lambda: client.supervisor.get(name).actor.state == "ready")
    assert statistics.median(times_s) < 0.15


def test_supervisor_methods_are_answered_while_every_worker_is_stopped(client: Client, daemon: Daemon) -> None:
    wait_ready(client)
    workers = [a.pid for a in client.supervisor.list() if a.name != "router"]
    try:
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        times_s = []
        for _ in range(50):
            begin_s = time.monotonic()
            client.supervisor.tree()
            times_s.append(time.monotonic() - begin_s)
        assert statistics.median(times_s) < 0.01
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def test_publish_reads_an_event_from_standard_input(client: Client, daemon: Daemon) -> None:
    client.namespaces.create("ci")
    published = subprocess.run(
        [*daemon.command(), "publish", "--namespace", "ci", "--topic", "/backup/done"],
        input=b'{"id": "web"}',
        env=daemon.variables(),
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert published.returncode == 0, published.stderr
    event = next(client.events.subscribe(["topic==/backup/done"], after_seq=0, timeout_s=10))
    assert (event.namespace, event.event) == ("ci", {"id": "web"})
