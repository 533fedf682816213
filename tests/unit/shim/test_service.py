"""Connections, keys, events and what is left of a shim that was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from linux import procfs, unixsocket
from shim.journal import read_journal
from shim.protocol import VERSION, Ack, Kill, Pid, Target, encode
from shim.service import LONELY_S
from tests.support.shim import ShimHarness, ShimRefused
from tests.support.wait import until


def test_connecting_tells_all_that_the_shim_has(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "true")
    connected = shim.connect().connect()
    assert (connected.shim_pid, connected.version) == (shim.pid, VERSION)
    [state] = connected.containers
    assert (state.container_id, state.bundle, state.seq) == (container, shim.bundle_path(container), 3)
    assert [(process.exec_id, process.status) for process in state.processes] == [("", "running"), ("e1", "created")]


def test_events_that_nobody_acknowledged_are_sent_to_each_new_connection(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("true")
    shim.wait(container)
    first = [event.seq for event in shim.client.events]
    assert first == [1, 2, 3]
    again = shim.connect()
    again.connect()
    again.wait_event("/tasks/exit")
    assert again.events == shim.client.events


def test_an_acknowledged_event_is_not_sent_again(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("true")
    shim.wait(container)
    shim.client.ack(container, 2)
    shim.client.call("connect")
    again = shim.connect()
    again.is_acking = False
    again.connect()
    again.wait_event("/tasks/exit")
    assert [event.seq for event in again.events] == [3]


def test_a_lost_connection_costs_nothing(shim: ShimHarness) -> None:
    container = shim.run("sh", "-c", "read line; exit 3")
    shim.client.close()
    again = shim.connect()
    again.connect()
    assert again.wait_event("/tasks/exit", container_id=container).event["exit_status"] == 3


def test_an_exit_while_nobody_is_connected_is_told_later(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    pid = shim.state(container).pid
    shim.client.close()
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGKILL)
    until(lambda: read_journal(shim.bundle_path(container)).exit_of(container))
    again = shim.connect()
    again.connect()
    assert again.wait_event("/tasks/exit").event["exit_status"] == 137


def test_a_journal_tells_the_exit_after_the_shim_was_killed(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("sh", "-c", "exit 9")
    shim.wait(container)
    shim.kill_shim()
    contents = read_journal(shim.bundle_path(container))
    assert [record.topic for record in contents.unacknowledged] == ["/tasks/create", "/tasks/start", "/tasks/exit"]
    exit_ = contents.exit_of(container)
    assert exit_ is not None
    assert exit_.event["exit_status"] == 9


def test_a_container_outlives_its_shim(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    pid = shim.state(container).pid
    shim.kill_shim()
    assert procfs.is_alive(pid)
    assert read_journal(shim.bundle_path(container)).exit_of(container) is None


def test_a_deleted_containers_last_events_wait_for_their_acknowledgement(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("true")
    shim.wait(container)
    shim.delete(container)
    again = shim.connect()
    connected = again.connect()
    assert [(state.container_id, state.processes) for state in connected.containers] == [(container, [])]
    again.wait_event("/tasks/delete")
    until(lambda: again.connect().containers == [])


def test_a_deserted_shim_without_a_living_container_ends_and_leaves_its_journal(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("true")
    shim.wait(container)
    shim.delete(container)
    shim.client.close()
    assert shim.wait_shim() == 0
    contents = read_journal(shim.bundle_path(container))
    assert contents.has_deletion
    assert len(contents.unacknowledged) == 4


def test_a_shim_that_is_deserted_while_the_runtime_tidies_up_ends_when_that_is_done(shim: ShimHarness) -> None:
    shim.client.is_acking = False
    container = shim.run("sleep", "1000")
    began = time.monotonic()
    # Another file beside the state has it left to the runtime, which waits for a reader of its log.
    with open(f"{shim.directory}/runc/{container}/other", "w"):
        pass
    log = f"{shim.bundle_path(container)}/log.json"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(log)
    os.mkfifo(log)
    shim.kill(container)
    shim.wait(container)
    shim.delete(container)
    shim.client.close()
    # What looks for lonely shims from their start on has looked.
    until(lambda: time.monotonic() > began + 2 * LONELY_S)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert shim.wait_shim() == 0
    finally:
        os.close(reader)


def test_a_shim_without_containers_shuts_down(shim: ShimHarness) -> None:
    shim.client.call("shutdown")
    assert shim.wait_shim() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1])
def test_ordinary_signals_do_not_end_a_shim(shim: ShimHarness, number: int) -> None:
    os.kill(shim.pid, number)
    assert shim.connect().connect().shim_pid == shim.pid
    if number == signal.SIGUSR1:
        until(lambda: "service.py" in shim.log())


def test_its_name_says_what_it_is(shim: ShimHarness) -> None:
    assert procfs.name(shim.pid) == "wharfie-shim"


def test_a_repeated_call_with_a_key_gets_the_first_answer(shim: ShimHarness) -> None:
    container = shim.bundle("sleep", "1000")
    body = shim.create_body(container)
    pids = {shim.client.call("create", body, Pid, key="k1").pid for _ in range(3)}
    assert len(pids) == 1
    target = Target(container_id=container)
    assert shim.client.call("start", target, Pid, key="k2") == shim.client.call("start", target, Pid, key="k2")
    kill = Kill(container_id=container, signal=9)
    shim.client.call("kill", kill, key="k3")
    shim.wait(container)
    shim.client.call("kill", kill, key="k3")
    with pytest.raises(ShimRefused, match="not_found"):
        shim.client.call("kill", kill, key="k4")


def test_a_copy_of_a_call_under_way_waits_for_it(shim: ShimHarness) -> None:
    container = shim.bundle("true")
    body = shim.create_body(container)
    other = shim.connect()
    first = shim.client.send("create", body, key="k")
    second = other.send("create", body, key="k")
    assert shim.client.answer(first) == other.answer(second)


def test_a_failure_is_remembered_under_its_key(shim: ShimHarness) -> None:
    body = shim.create_body(shim.bundle("nope"))
    for _ in range(2):
        with pytest.raises(ShimRefused) as caught:
            shim.client.call("create", body, Pid, key="k")
        assert caught.value.reason == "executable_not_found"


def test_a_slow_create_delays_nobody_else(shim: ShimHarness) -> None:
    running = shim.run("sleep", "1000")
    creates = [shim.client.send("create", shim.create_body(shim.bundle("true"))) for _ in range(4)]
    assert shim.connect().call("state", Target(container_id=running)) is None
    for create in creates:
        shim.client.answer(create)


def test_an_unknown_method_and_a_wrong_body_are_refused(shim: ShimHarness) -> None:
    with pytest.raises(ShimRefused, match="unimplemented"):
        shim.client.call("nonsense")
    with pytest.raises(ShimRefused, match=r"invalid_argument.*container_id"):
        shim.client.call("state", Pid(pid=1))


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03", b"\x81\xa1t\xa7request", b"\x91" * 20_000]
)
def test_a_malformed_message_costs_its_sender_the_connection_and_nobody_else(shim: ShimHarness, data: bytes) -> None:
    hostile = unixsocket.connect(shim.socket_path, timeout_s=5)
    hostile.settimeout(5)
    unixsocket.send(hostile, data)
    with pytest.raises((EOFError, ConnectionError)):
        unixsocket.recv(hostile)
    hostile.close()
    raw = unixsocket.connect(shim.socket_path, timeout_s=5)
    raw.send(data or b"\x07")
    raw.close()
    assert shim.client.connect().shim_pid == shim.pid


def test_descriptors_that_nobody_asked_for_are_closed(shim: ShimHarness) -> None:
    hostile = unixsocket.connect(shim.socket_path, timeout_s=5)
    shim.client.connect()
    before = len(os.listdir(f"/proc/{shim.pid}/fd"))
    for _ in range(5):
        unixsocket.send(hostile, encode(Ack(container_id="x", seq=1)), [0, 1])
    hostile.close()
    until(lambda: len(os.listdir(f"/proc/{shim.pid}/fd")) < before)


def test_another_user_is_not_listened_to(shim: ShimHarness) -> None:
    os.chmod(shim.socket_path, 0o666)
    os.chmod(shim.directory, 0o711)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.setuid(65534)
            client = unixsocket.connect(shim.socket_path, timeout_s=5)
            client.settimeout(5)
            client.recv(1)
            os._exit(0 if client.recv(1) == b"" else 1)
        os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert shim.client.connect().shim_pid == shim.pid


def test_connections_are_bounded_and_the_oldest_goes(shim: ShimHarness) -> None:
    clients = [shim.connect() for _ in range(9)]
    for client in clients[-7:]:
        assert client.connect().shim_pid == shim.pid
    with pytest.raises((EOFError, ConnectionError)):
        shim.client.connect()


def test_descriptors_and_children_do_not_grow(shim: ShimHarness) -> None:
    def life() -> int:
        container = shim.run("true")
        shim.wait(container)
        shim.delete(container)
        until(lambda: shim.client.connect().containers == [])
        return len(os.listdir(f"/proc/{shim.pid}/fd"))

    first = life()
    assert {life() for _ in range(5)} == {first}
    until(lambda: procfs.children(shim.pid) == [])
