"""How shims are made: by a plain fork, by the nursery, and after a rehearsal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from linux import procfs, unixsocket
from linux.descriptors import opened
from shim import birth, protocol, rehearsal
from shim.nursery import Nursery
from tests.support.bundle import temporary_directory
from tests.support.fork import in_fork
from tests.support.shim import ShimClient
from tests.support.wait import until


@pytest.fixture
def directory() -> Iterator[str]:
    with temporary_directory() as path:
        yield path


def start(directory: str, name: str = "s") -> bytes:
    return protocol.encode(
        protocol.ShimStart(namespace="n", id=name, runtime="/bin/false", runtime_root=directory, log=f"{directory}/log")
    )


def born(directory: str, fork: object, name: str = "s") -> tuple[int, ShimClient]:
    """A shim by this way of forking, and a connection to it."""
    assert callable(fork)
    path = f"{directory}/{name}"
    listener = unixsocket.listen(path)
    pid = fork(start(directory, name), [listener.fileno()])
    listener.close()
    return pid, ShimClient(path)


def end(pid: int, client: ShimClient) -> None:
    client.call("shutdown")
    client.close()
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_shim_keeps_nothing_of_its_parent_but_the_listener(directory: str) -> None:
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    pid, client = born(directory, birth.fork_shim)
    assert client.connect().shim_pid == pid
    targets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert "/etc/hostname" not in targets
    assert {target for target in targets if target.startswith("/")} == {"/dev/null", f"{directory}/log"}
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert procfs.name(pid) == "wharfie-shim"
    os.close(secret)
    end(pid, client)


def test_a_fork_leaves_the_parents_signals_and_descriptors_alone(directory: str) -> None:
    called = []
    old = signal.signal(signal.SIGUSR2, lambda *_: called.append(1))
    before = (opened(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    pid, client = born(directory, birth.fork_shim)
    end(pid, client)
    assert (opened(), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before
    os.kill(os.getpid(), signal.SIGUSR2)
    assert called == [1]
    signal.signal(signal.SIGUSR2, old)


def test_a_shim_of_the_nursery_is_a_child_of_the_supervisor(directory: str) -> None:
    made = Nursery()
    pids = []
    for name in ("a", "b"):
        pid, client = born(directory, made.fork_shim, name)
        assert client.connect().shim_pid == pid
        assert procfs.parent(pid) == os.getpid()
        assert os.getsid(pid) == pid
        pids.append((pid, client))
    nursery_pid = made.pid
    assert procfs.name(nursery_pid) == "wharfie-nursery"
    for pid, client in pids:
        end(pid, client)
    made.close()
    made.close()
    assert not procfs.is_alive(nursery_pid)


def test_the_nursery_knows_none_of_the_supervisors_descriptors(directory: str) -> None:
    made = Nursery()
    pid, client = born(directory, made.fork_shim)
    assert sorted(map(int, os.listdir(f"/proc/{made.pid}/fd"))) == [0, 1, 2, 3]
    end(pid, client)
    made.close()


def test_a_killed_nursery_is_replaced_and_no_birth_fails(directory: str) -> None:
    made = Nursery()
    for name in "abc":
        pid, client = born(directory, made.fork_shim, name)
        end(pid, client)
        if made.pid:
            os.kill(made.pid, signal.SIGKILL)
    made.close()


def test_a_stuck_nursery_delays_one_birth_and_leaves_one_shim(directory: str) -> None:
    made = Nursery()
    pid, client = born(directory, made.fork_shim, "a")
    end(pid, client)
    stuck = made.pid
    assert stuck > 0
    os.kill(stuck, signal.SIGSTOP)
    made._socket.settimeout(0.05)
    others = set(procfs.children(os.getpid())) - {stuck}
    pid, client = born(directory, made.fork_shim, "b")
    assert made.pid == 0, "the next birth gets a new one"
    assert set(procfs.children(os.getpid())) - others == {pid}
    end(pid, client)


def test_a_shim_whose_nursery_died_in_the_birth_is_ended_before_another_is_made(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Nursery()
    pid, client = born(directory, made.fork_shim, "a")
    end(pid, client)
    known = set(procfs.children(os.getpid()))
    strays: set[int] = set()
    real = unixsocket.recv

    def die_before_telling(sock: object) -> tuple[bytes, list[int]]:
        strays.update(until(lambda: set(procfs.children(os.getpid())) - known))
        os.kill(made.pid, signal.SIGKILL)
        raise EOFError

    monkeypatch.setattr(unixsocket, "recv", die_before_telling)
    listener = unixsocket.listen(f"{directory}/b")
    pid = made.fork_shim(start(directory, "b"), [listener.fileno()])
    listener.close()
    monkeypatch.setattr(unixsocket, "recv", real)
    client = ShimClient(f"{directory}/b")
    assert client.connect().shim_pid == pid
    [stray] = strays
    assert stray != pid
    assert os.waitpid(stray, 0)[1] == signal.SIGKILL
    end(pid, client)


def test_the_nursery_ends_with_the_supervisor(directory: str) -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        made = Nursery()
        _, client = born(directory, made.fork_shim)
        client.call("shutdown")
        os.write(write_end, made.pid.to_bytes(4, "little"))
        os._exit(0)
    nursery_pid = int.from_bytes(os.read(read_end, 4), "little")
    os.waitpid(pid, 0)
    os.close(read_end)
    os.close(write_end)
    until(lambda: not procfs.is_alive(nursery_pid))


def test_a_rehearsal_leaves_nothing_behind(directory: str) -> None:
    def rehearsed() -> None:
        before = (opened(), signal.pthread_sigmask(signal.SIG_BLOCK, ()), procfs.children(os.getpid()))
        assert rehearsal.rehearse(directory)
        assert os.listdir(directory) == []
        after = (opened(), signal.pthread_sigmask(signal.SIG_BLOCK, ()), procfs.children(os.getpid()))
        assert after == before

    in_fork(rehearsed)


def test_a_rehearsal_without_a_program_to_pretend_with_is_skipped(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "_PROGRAM", ("/nonexistent",))
    assert not rehearsal.rehearse(directory)


def test_a_shim_that_nobody_wants_ends(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from shim import service

    monkeypatch.setattr(service, "LONELY_S", 0.02)
    pid, client = born(directory, birth.fork_shim)
    client.connect()
    client.close()
    assert os.waitpid(pid, 0) == (pid, 0)
