from __future__ import annotations

import os

import pytest

from shim.protocol import Pids, Stdio, Target
from tests.support.shim import ShimHarness, ShimRefused, reading
from tests.support.wait import until


def test_an_exec_runs_in_the_container_and_is_told_in_order(shim: ShimHarness) -> None:
    out = shim.fifo("out")
    container = shim.run("sleep", "1000", hostname="inside")
    with reading(out) as read:
        shim.exec(container, "e1", "sh", "-c", "hostname; exit 5", stdio=Stdio(stdout=out))
        assert shim.state(container, "e1").status == "created"
        pid = shim.start_task(container, "e1")
        assert read() == b"inside\n"
    assert shim.wait(container, "e1") == 5
    state = shim.state(container, "e1")
    assert (state.status, state.exit_status, state.pid) == ("stopped", 5, pid)
    told = [(event.topic, event.event.get("exec_id") or event.event.get("id")) for event in shim.client.events[2:]]
    assert told == [("/tasks/exec-added", "e1"), ("/tasks/exec-started", "e1"), ("/tasks/exit", "e1")]
    assert shim.delete(container, "e1").exit_status == 5
    assert shim.state(container).status == "running"


def test_a_deleted_exec_leaves_no_file_and_its_name_is_free(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    bundle = shim.bundle_path(container)
    before = set(os.listdir(bundle))
    for _ in range(2):
        shim.exec(container, "e1", "true")
        shim.start_task(container, "e1")
        shim.client.wait_event("/tasks/exit", id="e1")
        shim.client.events.clear()
        shim.delete(container, "e1")
        assert set(os.listdir(bundle)) == before


def test_starts_precede_exits_for_many_instantly_ending_execs(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    names = [f"e{number}" for number in range(40)]
    for name in names:
        shim.exec(container, name, "true")
    calls = [shim.client.send("start", Target(container_id=container, exec_id=name)) for name in names]
    for call in calls:
        shim.client.answer(call)
    for name in names:
        assert shim.wait(container, name) == 0
    for name in names:
        topics = [e.topic for e in shim.client.events if name in {e.event.get("exec_id"), e.event.get("id")}]
        assert topics == ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"]


def test_the_first_processs_exit_is_told_after_those_of_all_execs(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    for number in range(5):
        shim.exec(container, f"e{number}", "sleep", "1000")
        shim.start_task(container, f"e{number}")
    shim.kill(container)
    assert shim.wait(container) == 137
    exits = [event.event["id"] for event in shim.client.events if event.topic == "/tasks/exit"]
    assert sorted(exits[:5]) == [f"e{number}" for number in range(5)]
    assert exits[5:] == [container]
    assert shim.wait(container, "e3") == 137


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        (["nope"], "not_found", "executable_not_found"),
        (["/nope"], "not_found", "executable_not_found"),
        (["/etc/not-executable"], "permission_denied", "not_executable"),
    ],
)
def test_an_exec_that_cannot_run_is_told_apart(shim: ShimHarness, command: list[str], code: str, reason: str) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", *command)
    with pytest.raises(ShimRefused) as caught:
        shim.start_task(container, "e1")
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert shim.state(container, "e1").status == "stopped"
    shim.delete(container, "e1")
    shim.kill(container)
    assert shim.wait(container) == 137


def test_an_exec_whose_fifo_is_missing_can_be_started_when_it_is_there(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "true", stdio=Stdio(stdout=f"{shim.directory}/late"))
    with pytest.raises(ShimRefused, match="not_found"):
        shim.start_task(container, "e1")
    shim.fifo("late")
    shim.start_task(container, "e1")
    assert shim.wait(container, "e1") == 0


def test_one_name_is_one_exec(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "true")
    with pytest.raises(ShimRefused, match="already_exists"):
        shim.exec(container, "e1", "true")
    with pytest.raises(ShimRefused, match="invalid_argument"):
        shim.exec(container, "..", "true")
    with pytest.raises(ShimRefused, match=r"not_found.*'e2'"):
        shim.start_task(container, "e2")


def test_nothing_is_executed_in_what_has_ended(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "true")
    shim.kill(container)
    shim.wait(container)
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.start_task(container, "e1")
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.exec(container, "e2", "true")
    shim.delete(container)


def test_an_exec_is_killed_alone(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "sleep", "1000")
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.kill(container, exec_id="e1")
    pid = shim.start_task(container, "e1")
    found = shim.client.call("pids", Target(container_id=container), Pids).processes
    assert {(p.pid, p.exec_id) for p in found} == {(shim.state(container).pid, ""), (pid, "e1")}
    with pytest.raises(ShimRefused, match=r"failed_precondition.*exec"):
        shim.delete(container, "e1")
    shim.kill(container, exec_id="e1")
    assert shim.wait(container, "e1") == 137
    with pytest.raises(ShimRefused, match="not_found"):
        shim.kill(container, exec_id="e1")
    assert shim.state(container).status == "running"


def test_input_closed_before_the_start_is_at_its_end(shim: ShimHarness) -> None:
    stdin = shim.fifo("in")
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "cat", stdio=Stdio(stdin=stdin))
    shim.client.call("close_io", Target(container_id=container, exec_id="e1"))
    shim.start_task(container, "e1")
    assert shim.wait(container, "e1") == 0


def test_a_container_with_registered_execs_can_be_deleted(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.exec(container, "e1", "true")
    shim.kill(container)
    shim.wait(container)
    shim.delete(container)
    until(lambda: shim.client.connect().containers == [])
