"""Containers run by the real runc under a real shim."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess

import pytest

from linux import cgroups, procfs
from linux.mount import is_mountpoint
from shim.protocol import Kill, Mount, Pid, Pids, ProcessState, Stdio, Target
from tests.support.shim import ShimHarness, ShimRefused, reading
from tests.support.wait import until


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_is_the_processs(shim: ShimHarness, status: int) -> None:
    container = shim.run("sh", "-c", f"exit {status}")
    assert shim.wait(container) == status
    exit_ = shim.delete(container)
    assert exit_.exit_status == status
    assert exit_.exited_at_ns > 0


def test_a_killed_process_has_128_and_the_signal(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    shim.kill(container)
    assert shim.wait(container) == 137
    state = shim.state(container)
    assert (state.status, state.exit_status) == ("stopped", 137)


def test_a_life_is_told_in_order_and_leaves_nothing(shim: ShimHarness) -> None:
    container = shim.create("true")
    bundle = shim.bundle_path(container)
    created = shim.client.wait_event("/tasks/create")
    assert created.event["bundle"] == bundle
    assert created.event["rootfs"][0]["type"] == "bind"
    assert is_mountpoint(f"{bundle}/rootfs")
    assert shim.state(container).status == "created"
    pid = shim.start_task(container)
    assert pid == created.event["pid"]
    shim.wait(container)
    shim.delete(container)
    shim.client.wait_event("/tasks/delete")
    assert shim.client.topics(container) == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
    assert [event.seq for event in shim.client.events] == [1, 2, 3, 4]
    assert not is_mountpoint(f"{bundle}/rootfs")
    with pytest.raises(ShimRefused, match="not_found"):
        shim.state(container)
    shim.shutdown()
    assert os.listdir(f"{shim.directory}/runc") == []
    assert cgroups.processes(f"/sys/fs/cgroup/pids/wharfie/{shim.namespace}/{container}") == []
    assert not os.path.exists(f"/sys/fs/cgroup/pids/wharfie/{shim.namespace}/{container}")


def test_the_container_is_cleaned_up_by_runc_before_anybody_asks(shim: ShimHarness) -> None:
    container = shim.run("true")
    shim.wait(container)
    until(lambda: os.listdir(f"{shim.directory}/runc") == [])
    assert shim.state(container).status == "stopped"


def test_a_group_below_the_containers_is_left_to_runc_and_removed(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    directory = f"/sys/fs/cgroup/pids/wharfie/{shim.namespace}/{container}"
    os.mkdir(f"{directory}/below")
    shim.kill(container)
    shim.wait(container)
    shim.delete(container)
    shim.shutdown()
    assert not os.path.exists(directory)
    assert os.listdir(f"{shim.directory}/runc") == []


def test_a_stranger_beside_the_runtimes_state_is_left_to_runc(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    with open(f"{shim.directory}/runc/{container}/new", "wb"):
        pass
    shim.kill(container)
    shim.wait(container)
    shim.delete(container)
    shim.shutdown()
    assert os.listdir(f"{shim.directory}/runc") == []


def test_events_of_instantly_ending_processes_are_in_order(shim: ShimHarness) -> None:
    for _ in range(60):
        container = shim.run("true")
        shim.wait(container)
        shim.delete(container)
        shim.client.wait_event("/tasks/delete", container_id=container)
        assert shim.client.topics(container) == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        (["nope"], "not_found", "executable_not_found"),
        (["/nope/x"], "not_found", "executable_not_found"),
        (["/etc/not-executable"], "permission_denied", "not_executable"),
        (["/etc"], "permission_denied", "not_executable"),
    ],
)
def test_a_program_that_cannot_run_is_told_apart_and_leaves_nothing(
    shim: ShimHarness, command: list[str], code: str, reason: str
) -> None:
    container = shim.bundle(*command)
    with pytest.raises(ShimRefused) as caught:
        shim.client.call("create", shim.create_body(container), Pid)
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert container in caught.value.message
    bundle = shim.bundle_path(container)
    assert not is_mountpoint(f"{bundle}/rootfs")
    assert not os.path.exists(f"{bundle}/journal")
    assert shim.client.events == [], "neither created nor exited, so nothing is told"
    assert shim.client.connect().containers == []
    assert os.listdir(f"{shim.directory}/runc") == []


@pytest.mark.parametrize(
    ("rootfs", "stdio", "code"),
    [
        ([Mount(type="bind", source="/nonexistent", options=["bind"])], Stdio(), "failed_precondition"),
        ([Mount(type="bind", source="/etc", options=["loop"])], Stdio(), "failed_precondition"),
        ([Mount(type="nofs", source="x")], Stdio(), "failed_precondition"),
        (None, Stdio(stdout="/nonexistent"), "not_found"),
        (None, Stdio(terminal=True), "unimplemented"),
    ],
)
def test_a_create_that_fails_before_runc_leaves_nothing(
    shim: ShimHarness, rootfs: list[Mount] | None, stdio: Stdio, code: str
) -> None:
    container = shim.bundle("true")
    body = shim.create_body(container, stdio=stdio)
    body.rootfs = body.rootfs if rootfs is None else rootfs
    with pytest.raises(ShimRefused, match=code):
        shim.client.call("create", body, Pid)
    assert not is_mountpoint(f"{shim.bundle_path(container)}/rootfs")
    body.rootfs, body.stdio = shim.create_body(container).rootfs, Stdio()
    assert shim.client.call("create", body, Pid).pid > 0, "the bundle can be used again"


def test_two_containers_of_one_name_are_refused(shim: ShimHarness) -> None:
    container = shim.create("true")
    with pytest.raises(ShimRefused, match="already_exists"):
        shim.client.call("create", shim.create_body(container), Pid)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "-x", "a\0"])
def test_a_name_that_could_leave_the_bundle_is_refused(shim: ShimHarness, name: str) -> None:
    body = shim.create_body("x")
    body.container_id = name
    with pytest.raises(ShimRefused, match="invalid_argument"):
        shim.client.call("create", body, Pid)


def test_a_running_container_is_not_deleted(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.delete(container)
    shim.kill(container)
    shim.wait(container)
    assert shim.delete(container).exit_status == 137


def test_a_container_that_never_started_can_be_deleted(shim: ShimHarness) -> None:
    container = shim.create("true")
    assert shim.delete(container).exit_status == 137
    shim.client.wait_event("/tasks/delete")
    assert shim.client.topics(container) == ["/tasks/create", "/tasks/exit", "/tasks/delete"]


def test_a_container_that_was_killed_before_its_start_does_not_start(shim: ShimHarness) -> None:
    container = shim.create("true")
    shim.kill(container)
    assert shim.wait(container) == 137
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.start_task(container)


def test_a_start_needs_no_program_and_runc_knows_of_it(shim: ShimHarness) -> None:
    container = shim.create("sleep", "1000")
    gate = f"{shim.directory}/runc/{container}/exec.fifo"
    assert os.path.exists(gate)
    shim.start_task(container)
    assert not os.path.exists(gate)
    command = ["runc", "--root", f"{shim.directory}/runc", "state", container]
    assert json.loads(subprocess.check_output(command))["status"] == "running"


def test_a_runtime_without_a_gate_is_started_as_the_specification_says(shim: ShimHarness) -> None:
    container = shim.create("sh", "-c", "exit 6")
    gate = f"{shim.directory}/runc/{container}/exec.fifo"
    os.rename(gate, f"{gate}.away")
    with pytest.raises(ShimRefused) as caught:
        shim.start_task(container)
    assert caught.value.reason == "runtime_failed", "runc start was asked, and misses its FIFO"
    os.rename(f"{gate}.away", gate)
    shim.start_task(container)
    assert shim.wait(container) == 6


def test_a_container_that_dies_before_the_gate_is_not_started(shim: ShimHarness) -> None:
    container = shim.create("true")
    os.kill(shim.pid, signal.SIGSTOP)
    start = shim.client.send("start", Target(container_id=container))
    os.kill(int(read(f"{shim.bundle_path(container)}/init.pid")), signal.SIGKILL)
    os.kill(shim.pid, signal.SIGCONT)
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.client.answer(start)
    assert shim.wait(container) == 137
    assert "/tasks/start" not in shim.client.topics(container)


def read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def test_what_has_ended_cannot_be_killed_or_started_again(shim: ShimHarness) -> None:
    container = shim.run("true")
    shim.wait(container)
    with pytest.raises(ShimRefused, match=r"not_found.*already finished"):
        shim.kill(container)
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.start_task(container)


def test_a_second_start_is_refused(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    with pytest.raises(ShimRefused, match=r"failed_precondition.*twice"):
        shim.start_task(container)


def test_a_signal_arrives(shim: ShimHarness) -> None:
    out = shim.fifo("out")
    with reading(out) as read:
        script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.01; done"
        container = shim.run("sh", "-c", script, stdio=Stdio(stdout=out))
        assert _some(out) == b"ready\n"
        shim.kill(container, signal.SIGUSR1)
        assert shim.wait(container) == 3
        assert b"got" in read()


def _some(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_a_signal_that_does_not_exist_is_refused(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    with pytest.raises(ShimRefused, match="invalid_argument"):
        shim.kill(container, 99)


def test_all_processes_can_be_listed_and_killed(shim: ShimHarness) -> None:
    container = shim.run("sh", "-c", "sleep 1000 & sleep 1000 & wait")
    target = Target(container_id=container)

    def pids() -> list[int]:
        found = shim.client.call("pids", target, Pids)
        return [process.pid for process in found.processes]

    until(lambda: len(pids()) == 3)
    assert shim.state(container).pid in pids()
    shim.client.call("kill", Kill(container_id=container, signal=9, all=True))
    assert shim.wait(container) == 137
    assert pids() == []


def test_without_a_pid_namespace_the_rest_ends_with_the_first_process(shim: ShimHarness) -> None:
    def share_pids(spec: dict[str, object]) -> None:
        linux = spec["linux"]
        assert isinstance(linux, dict)
        linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "pid"]

    container = shim.create("sh", "-c", "sleep 1000 & sleep 1000 & exit 4", private_pids=False, change=share_pids)
    directory = f"/sys/fs/cgroup/pids/wharfie/{shim.namespace}/{container}"
    shim.start_task(container)
    assert shim.wait(container) == 4
    until(lambda: cgroups.processes(directory) == [])
    shim.delete(container)
    shim.shutdown()
    assert not os.path.exists(directory)


def test_a_kill_for_want_of_memory_is_told_before_the_exit(shim: ShimHarness) -> None:
    container = shim.run("sh", "-c", "exec tail /dev/zero", memory_bytes=12 << 20)
    assert shim.wait(container) == 137
    assert "/tasks/oom" in shim.client.topics(container)
    assert shim.client.topics(container).index("/tasks/oom") < shim.client.topics(container).index("/tasks/exit")
    assert shim.state(container).oom
    assert shim.delete(container).oom


def test_a_child_killed_for_want_of_memory_is_told_though_the_container_goes_on(shim: ShimHarness) -> None:
    container = shim.run("sh", "-c", "tail /dev/zero; sleep 1000", memory_bytes=12 << 20)
    shim.client.wait_event("/tasks/oom", container_id=container)
    assert shim.state(container).status == "running"


def test_a_program_takes_20_kilobytes_of_arguments(shim: ShimHarness) -> None:
    out = shim.fifo("out")
    with reading(out) as read:
        container = shim.run("echo", "x" * 20_000, stdio=Stdio(stdout=out))
        assert read() == b"x" * 20_000 + b"\n"
        assert shim.wait(container) == 0


def test_output_goes_to_a_fifo_to_its_last_byte(shim: ShimHarness) -> None:
    out, err = shim.fifo("out"), shim.fifo("err")
    with reading(out) as read_out, reading(err) as read_err:
        shim.run("sh", "-c", "seq 5000; echo oops >&2", stdio=Stdio(stdout=out, stderr=err))
        assert read_out().split() == [str(number).encode() for number in range(1, 5001)]
        assert read_err() == b"oops\n"


def test_output_goes_to_a_file(shim: ShimHarness) -> None:
    url = f"file://{shim.directory}/out.log"
    container = shim.run("sh", "-c", "echo one; echo two >&2; echo three", stdio=Stdio(stdout=url, stderr=url))
    shim.wait(container)
    with open(f"{shim.directory}/out.log", "rb") as file:
        assert file.read() == b"one\ntwo\nthree\n"


def test_a_reader_that_dies_does_not_hurt_the_writer(shim: ShimHarness) -> None:
    out = shim.fifo("out")
    with reading(out):
        container = shim.run("sh", "-c", "while :; do echo x; sleep 0.01; done", stdio=Stdio(stdout=out))
        _some(out)
    _some(out)
    assert shim.state(container).status == "running"


def test_input_ends_only_when_it_is_closed(shim: ShimHarness) -> None:
    stdin, out = shim.fifo("in"), shim.fifo("out")
    with reading(out) as read:
        container = shim.run("cat", stdio=Stdio(stdin=stdin, stdout=out))
        for text in (b"one ", b"two"):
            with open(stdin, "wb") as file:
                file.write(text)
        shim.client.call("close_io", Target(container_id=container))
        assert read() == b"one two"
        assert shim.wait(container) == 0
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.client.call("close_io", Target(container_id=container))


def test_a_container_without_streams_reads_nothing(shim: ShimHarness) -> None:
    container = shim.run("cat")
    assert shim.wait(container) == 0


def test_several_containers_live_in_one_shim(shim: ShimHarness) -> None:
    first, second = shim.run("sleep", "1000"), shim.run("sleep", "1000")
    shim.kill(first)
    assert shim.wait(first) == 137
    shim.delete(first)
    assert shim.state(second).status == "running"
    with pytest.raises(ShimRefused, match="failed_precondition"):
        shim.client.call("shutdown")


def test_the_container_knows_neither_the_shims_descriptors_nor_its_signals(shim: ShimHarness) -> None:
    out = shim.fifo("out")
    with reading(out) as read:
        script = "ls /proc/$$/fd; exec grep -E 'SigBlk|SigIgn' /proc/self/status"
        shim.run("sh", "-c", script, stdio=Stdio(stdout=out))
        *descriptors, blocked, ignored = read().decode().splitlines()
    assert descriptors == ["0", "1", "2"]
    assert int(blocked.split()[1], 16) == 0
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
        assert not int(ignored.split()[1], 16) >> (number - 1) & 1


def test_files_of_a_bundle_are_private(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    assert stat.S_IMODE(os.stat(f"{shim.bundle_path(container)}/journal").st_mode) == 0o600


def test_an_unknown_container_is_not_found(shim: ShimHarness) -> None:
    for method in ("start", "state", "delete", "pids", "close_io"):
        with pytest.raises(ShimRefused, match=r"not_found.*'nobody'"):
            shim.client.call(method, Target(container_id="nobody"), ProcessState)


def test_the_process_is_the_shims_child_and_bears_its_containers_pid(shim: ShimHarness) -> None:
    container = shim.run("sleep", "1000")
    assert procfs.parent(shim.state(container).pid) == shim.pid
