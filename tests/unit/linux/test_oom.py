from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux import cgroups, oom
from linux.oom import OomWatch
from tests.support.wait import until

LIMIT_BYTES = 16 * 1024 * 1024


def readable(watch: OomWatch, timeout_s: float = 10) -> bool:
    return bool(select.select([watch], [], [], timeout_s)[0])


def test_the_count_is_found_among_the_lines() -> None:
    assert oom.parse_count("low 0\noom 2\noom_kill 3\noom_group_kill 4\n") == 3
    assert oom.parse_count("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n") == 5
    assert oom.parse_count("oom_kill_disable 0\nunder_oom 0\n") == 0


@pytest.fixture
def memory_group() -> Iterator[str]:
    parent = cgroups.memory_directory(cgroups.of_process())
    if parent is None:
        pytest.skip("no memory controller here")
    path = f"{parent}/wharfie-test-oom-{os.getpid()}"
    os.mkdir(path)
    limit = "memory.max" if os.path.exists(path + "/memory.max") else "memory.limit_in_bytes"
    Path(path, limit).write_text(str(LIMIT_BYTES), encoding="ascii")
    yield path
    cgroups.kill(path)
    cgroups.remove(path, timeout_s=10)


def eat_memory(group: str) -> int:
    """Return the pid of a child that is killed for its memory."""
    pid = os.fork()
    if pid == 0:
        try:
            Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
            kept = []
            while True:
                kept.append(bytearray(os.urandom(1024 * 1024)))
        finally:
            os._exit(1)
    return pid


def test_a_kill_for_want_of_memory_is_noticed_and_counted(memory_group: str) -> None:
    with OomWatch.of_directory(memory_group) as watch:
        assert watch.read_count() == 0
        assert not readable(watch, 0)
        for number in (1, 2):
            pid = eat_memory(memory_group)
            assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
            assert readable(watch)
            assert watch.read_count() == number
            assert not readable(watch, 0)


def test_the_last_count_stays_when_the_group_is_removed(memory_group: str) -> None:
    with OomWatch.of_directory(memory_group) as watch:
        os.waitpid(eat_memory(memory_group), 0)
        assert watch.read_count() == 1
        cgroups.remove(memory_group, timeout_s=10)
        assert watch.read_count() == 1


def test_the_group_of_a_process_is_found(memory_group: str) -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    Path(memory_group, "cgroup.procs").write_text(str(pid), encoding="ascii")
    watch = OomWatch.of_process(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert watch is not None
    with watch:
        os.waitpid(eat_memory(memory_group), 0)
        assert watch.read_count() == 1


def test_a_directory_that_is_gone_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        OomWatch.of_directory("/sys/fs/cgroup/no-such-group")


@pytest.mark.skipif("" not in cgroups.of_process(), reason="no cgroup v2 mounted")
def test_the_v2_way_of_watching_works_on_a_real_events_file() -> None:
    """Where the memory controller is v1's, `cgroup.events` stands in: same kind of file, same notification."""
    path = f"{cgroups.of_process()['']}/wharfie-test-events-{os.getpid()}"
    os.mkdir(path)
    with OomWatch.of_events_file(path + "/cgroup.events", key="populated") as watch:
        assert watch.read_count() == 0
        pid = os.fork()
        if pid == 0:
            signal.pause()
        Path(path, "cgroup.procs").write_text(str(pid), encoding="ascii")
        assert readable(watch)
        assert watch.read_count() == 1
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        until(lambda: readable(watch) and watch.read_count() == 0)
    cgroups.remove(path, timeout_s=10)
