"""Containers through the Python client, the whole daemon, runc and the kernel real."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator

import pytest

import wharfie
from tests.support import busybox, inventory
from tests.support.daemon import Daemon
from tests.support.wait import until
from wharfie.types.tasks import Status

NAME = "busybox:latest"
NAMESPACE = "running"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="run-", dir="/dev/shm") as directory, Daemon() as daemon:
        with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
            client.images.import_(busybox.archive(f"{directory}/busybox.tar"))
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[wharfie.Client]:
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE, timeout_s=30) as client:
        yield client
        for container in client.containers.list():
            container.delete(force=True)
        until(lambda: not client.tasks.list())


def test_run_returns_exit_code_and_both_outputs(client: wharfie.Client) -> None:
    done = client.run(NAME, ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_run_leaves_nothing(daemon: Daemon, client: wharfie.Client) -> None:
    before = inventory.of(client)
    client.run(NAME, ["true"])
    assert inventory.of(client) == before
    kinds = ("bundles", "mounts", "cgroups", "shim sockets", "runtime state")
    until(lambda: not any(inventory.on_disk(daemon.root, daemon.state, namespace=NAMESPACE)[kind] for kind in kinds))


def test_the_process_reads_what_the_caller_sends(client: wharfie.Client) -> None:
    data = bytes(range(256)) * 2000
    assert client.run(NAME, ["cat"], stdin=data).stdout == data


def test_more_output_than_any_pipe_holds_arrives_whole(client: wharfie.Client) -> None:
    done = client.run(NAME, ["dd", "if=/dev/zero", "bs=1M", "count=5"])
    assert done.stdout == bytes(5 << 20)


def test_a_program_that_is_not_there_is_told_from_one_that_cannot_run(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.WharfieError) as caught:
        client.run(NAME, ["no-such-program"])
    assert caught.value.details["reason"] == "executable_not_found"
    with pytest.raises(wharfie.WharfieError) as caught:
        client.run(NAME, ["/bin/not-executable"])
    assert caught.value.details["reason"] == "not_executable"
    assert not client.containers.list()
    assert not client.tasks.list()


def test_an_image_that_is_not_here_is_not_found(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.NotFound):
        client.run("no-such-image", ["true"])


@pytest.mark.parametrize(
    ("options", "command", "output"),
    [
        ({"env": {"GREETING": "hello"}}, 'echo "$GREETING"', "hello"),
        ({"workdir": "/tmp"}, "pwd", "/tmp"),
        ({"user": "app"}, "id -u; id -G", "1000\n1000 77"),
        ({"user": "1234:77"}, "id -u; id -g", "1234\n77"),
        ({"hostname": "box"}, "cat /proc/sys/kernel/hostname", "box"),
        ({"read_only": True}, "touch /x 2>/dev/null || echo refused", "refused"),
        ({}, "touch /x && echo written", "written"),
        ({"net": "none"}, "ls /sys/class/net", "lo"),
        ({"privileged": True}, "test -e /dev/mem -o -e /dev/null && echo devices", "devices"),
    ],
)
def test_options_take_effect(client: wharfie.Client, options: dict[str, object], command: str, output: str) -> None:
    done = client.run(NAME, ["sh", "-c", command], **options)  # type: ignore[arg-type]
    got = sorted(done.stdout.decode().split()) if "user" in options else done.stdout.decode().strip()
    assert got == (sorted(output.split()) if "user" in options else output), done


def test_a_volume_is_shared_and_a_read_only_one_cannot_be_written(client: wharfie.Client) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        done = client.run(NAME, ["sh", "-c", "echo data > /v/file"], volumes=[f"{directory}:/v"])
        assert done.exit_code == 0, done
        with open(f"{directory}/file") as file:
            assert file.read() == "data\n"
        done = client.run(NAME, ["touch", "/v/other"], volumes=[f"{directory}:/v:ro"])
        assert done.exit_code != 0


def test_two_containers_do_not_see_one_anothers_files(client: wharfie.Client) -> None:
    client.run(NAME, ["touch", "/mine"])
    assert client.run(NAME, ["test", "-e", "/mine"]).exit_code == 1


def test_too_much_memory_is_reported_as_such(client: wharfie.Client) -> None:
    done = client.run(NAME, ["sh", "-c", "x=a; while true; do x=$x$x; done"], memory_bytes=16 << 20)
    assert done.exit_code == 137
    assert done.oom


def test_exec_runs_beside_the_first_process(client: wharfie.Client) -> None:
    container = client.containers.create(NAME, ["sleep", "600"])
    container.start()
    done = container.exec(["sh", "-c", "echo in; exit 5"], env=["A=b"], user="app", workdir="/tmp")
    assert (done.exit_code, done.stdout) == (5, b"in\n")
    assert container.exec(["cat"], stdin=b"through").stdout == b"through"
    pids = [process.pid for process in client.tasks.pids(container.id)]
    assert container.task.state().pid in pids


def test_a_running_container_is_not_deleted_unless_forced(client: wharfie.Client) -> None:
    container = client.containers.create(NAME, ["sleep", "600"], id="busy")
    container.start()
    with pytest.raises(wharfie.FailedPrecondition):
        container.delete()
    assert container.task.state().status == Status.RUNNING
    container.delete(force=True)
    with pytest.raises(wharfie.NotFound):
        client.containers.get("busy")


def test_killing_what_has_finished_is_not_found_and_waiting_still_answers(client: wharfie.Client) -> None:
    container = client.containers.create(NAME, ["sh", "-c", "exit 6"])
    container.start()
    assert container.task.wait().exit_status == 6
    with pytest.raises(wharfie.NotFound):
        container.task.kill()
    assert container.task.wait().exit_status == 6


def test_a_stopped_container_starts_again(client: wharfie.Client) -> None:
    container = client.containers.create(NAME, ["sh", "-c", "echo again >> /count; exit 0"])
    for _ in range(2):
        container.start().wait()
        container.task.delete()
    container.record.spec["process"]["args"] = ["cat", "/count"]
    updated = client.containers.update(container.record, mask=["spec"])
    updated.start().wait()
    assert b"".join(client.tasks.logs(container.id)) == b"again\nagain\n"


def test_logs_follow_until_the_end(client: wharfie.Client) -> None:
    container = client.containers.create(NAME, ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"])
    container.start()
    assert b"".join(bytes(part) for part in client.tasks.logs(container.id, follow=True)) == b"1\n2\n3\n"


def test_events_tell_a_life_in_order_and_are_replayed_by_number(client: wharfie.Client) -> None:
    mark = client.events.publish("/test/mark")
    client.run(NAME, ["true"], name="told")
    topics: list[str] = []
    for envelope in client.events.subscribe(after_seq=mark):
        topics.append(envelope.topic)
        if envelope.topic == "/snapshot/remove":
            break
    life = [topic for topic in topics if topic.startswith("/tasks/")]
    assert life == ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
    assert topics.index("/snapshot/prepare") < topics.index("/containers/create") < topics.index("/tasks/create")


def test_namespaces_keep_containers_apart(client: wharfie.Client) -> None:
    other = client.within("other")
    container = client.containers.create(NAME, ["true"], id="mine")
    assert not other.containers.list()
    with pytest.raises(wharfie.NotFound):
        other.containers.get("mine")
    container.delete()


def test_four_threads_run_containers_on_one_client(client: wharfie.Client) -> None:
    codes: list[int] = []

    def work(number: int) -> None:
        for _ in range(3):
            codes.append(client.run(NAME, ["sh", "-c", f"exit {number}"]).exit_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == sorted([0, 1, 2, 3] * 3)


def test_the_asynchronous_client_runs_containers_at_once(daemon: Daemon) -> None:
    import asyncio

    async def main() -> list[tuple[int, bytes]]:
        async with wharfie.AsyncClient(str(daemon.address), namespace=NAMESPACE) as client:
            done = await asyncio.gather(*(client.run(NAME, ["cat"], stdin=f"n{n}".encode()) for n in range(4)))
            return [(one.exit_code, one.stdout) for one in done]

    assert asyncio.run(main()) == [(0, f"n{n}".encode()) for n in range(4)]


def test_a_client_that_dies_leaves_its_container_running(daemon: Daemon, client: wharfie.Client) -> None:
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as brief:
        container = brief.containers.create(NAME, ["sleep", "600"], id="orphan")
        container.start()
    assert client.tasks.get("orphan").status == Status.RUNNING
