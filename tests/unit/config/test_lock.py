from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.lock import LOCK_NAME, LockHeld, acquire
from tests.support.fork import in_fork
from tests.support.wait import until


@contextmanager
def child(run: object) -> Iterator[tuple[int, int]]:
    """A process that runs `run(report)` and then waits; gives its pid and the pipe that it reports to."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            run(write_end)  # type: ignore[operator]
            signal.pause()
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        yield pid, read_end
    finally:
        os.close(read_end)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def has_open(pid: int, path: str) -> bool:
    links = [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
    return any(os.path.lexists(link) and os.path.realpath(link) == path for link in links)


def holder(shm: str) -> object:
    def run(report: int) -> None:
        acquire(shm)
        os.write(report, b"held")

    return run


def refused(shm: str) -> LockHeld:
    with pytest.raises(LockHeld) as caught:
        acquire(shm)
    return caught.value


def test_a_second_daemon_is_refused_at_once_with_the_pid_of_the_first(shm: str) -> None:
    with child(holder(shm)) as (pid, pipe):
        assert os.read(pipe, 4) == b"held"
        took = []
        for _ in range(5):
            start = time.monotonic()
            error = refused(shm)
            took.append(time.monotonic() - start)
            assert (error.pid, error.root) == (pid, shm)
            assert f"'{shm}'" in str(error)
            assert f"process {pid}" in str(error)
            assert "--root" in str(error)
        assert min(took) < 0.01


def test_the_lock_is_free_as_soon_as_its_holder_was_killed(shm: str) -> None:
    with child(holder(shm)) as (_, pipe):
        assert os.read(pipe, 4) == b"held"
    with acquire(shm) as lock, open(f"{shm}/{LOCK_NAME}", encoding="utf-8") as file:
        assert file.read().split()[0] == str(os.getpid())
        assert refused(shm).pid == os.getpid()
        assert lock.fd >= 0


@pytest.mark.parametrize("text", ["", "1 1\n", "999999999 5\n", "not a pid", "-1 -1", "0 0", "9" * 80])
def test_a_stale_text_is_no_lock(shm: str, text: str) -> None:
    with open(f"{shm}/{LOCK_NAME}", "w", encoding="utf-8") as file:
        file.write(text)
    with acquire(shm):
        pass


def test_a_child_that_closes_its_copy_does_not_free_the_lock_of_its_parent(shm: str) -> None:
    with acquire(shm) as lock:
        in_fork(lock.close_in_child)
        assert refused(shm).pid == os.getpid()
    with acquire(shm):
        pass


def test_a_child_that_keeps_its_copy_holds_the_root_after_its_parent(shm: str) -> None:
    """Why `close_in_child` exists; and the refusal does not name the parent, which is gone."""

    def run(report: int) -> None:
        acquire(shm)
        if os.fork():
            os._exit(0)
        os.write(report, str(os.getpid()).encode())
        signal.pause()

    with child(run) as (pid, pipe):
        orphan = int(os.read(pipe, 16))
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            assert refused(shm).pid == 0
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_an_orphan_that_closes_its_copy_soon_is_waited_for(shm: str) -> None:
    """The children of a killed daemon that were forked a moment ago close the lock while the next one starts."""

    test = os.getpid()

    def run(report: int) -> None:
        lock = acquire(shm)
        if os.fork():
            os._exit(0)
        os.write(report, b"held")
        until(lambda: has_open(test, f"{shm}/{LOCK_NAME}"))
        lock.close_in_child()
        os._exit(0)

    with child(run) as (pid, pipe):
        assert os.read(pipe, 4) == b"held"
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with acquire(shm):
            pass


def test_releasing_twice_is_harmless_and_leaves_the_file(shm: str) -> None:
    lock = acquire(shm)
    lock.release()
    lock.release()
    lock.close_in_child()
    assert os.stat(f"{shm}/{LOCK_NAME}").st_size == 0
    assert os.stat(f"{shm}/{LOCK_NAME}").st_mode & 0o777 == 0o600


def test_a_program_that_is_run_does_not_inherit_the_lock(shm: str) -> None:
    with acquire(shm) as lock:
        assert not os.get_inheritable(lock.fd)


def test_a_root_that_does_not_exist_is_named(shm: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        acquire(f"{shm}/none")
    assert caught.value.filename == f"{shm}/none/{LOCK_NAME}"


def test_a_link_in_the_place_of_the_lock_is_not_followed(shm: str) -> None:
    os.symlink("/etc/passwd", f"{shm}/{LOCK_NAME}")
    with pytest.raises(OSError, match="symbolic"):
        acquire(shm)
