"""Memory groups and the kernel's log, on the real kernel."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from linux import procfs
from supervisor.limits import join_cgroup
from supervisor.memory import KernelLog, MemoryGroup, make_group
from tests.support.supervised import Supervised, scripted
from tests.support.wait import until

SERVE = "ready serve"


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    group = make_group("test", limit_bytes=64 << 20)
    if group is None:
        pytest.fail("no memory controller could be used")
    yield group
    group.close()


def test_a_group_has_its_limit_and_is_removed_with_whoever_is_in_it(group: MemoryGroup) -> None:
    directory = Path(group.directory)
    limit = next(directory / name for name in ("memory.max", "memory.limit_in_bytes") if (directory / name).exists())
    assert int(limit.read_text()) == 64 << 20
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    Path(group.procs).write_text(str(pid))
    group.close()
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    group.close()
    until(lambda: not directory.exists() or not os.listdir(directory) or _rmdir(directory))
    assert not directory.exists()


def _rmdir(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()


def test_a_worker_over_its_limit_is_named_as_out_of_memory() -> None:
    spec = scripted("a", memory_max_bytes=96 << 20)
    with Supervised({"a": [f"ready eat=400 {SERVE}", SERVE]}, spec) as supervised:
        supervised.wait_state("a", "ready", generation=2, deadline_s=30)
        crash = supervised.crashes("a")[0]
        assert crash.oom
        assert crash.reason == "SIGKILL (out of memory)"
        pid = supervised.actors()["a"].pid
        os.kill(pid, signal.SIGKILL)
        supervised.wait_state("a", "ready", generation=3)
        assert not supervised.crashes("a")[1].oom
        groups = Path(f"/proc/{supervised.actors()['a'].pid}/cgroup").read_text()
        assert f"wharfie-{supervised.pid}-a" in groups


def test_the_kernels_log_names_the_killed_process_once(tmp_path: Path) -> None:
    fake = tmp_path / "kmsg"
    fake.write_bytes(b"")
    log = KernelLog(str(fake))
    with fake.open("ab") as file:
        file.write(b"3,1,1,-;Memory cgroup out of memory: Killed process 4711 (python) total-vm:1kB\n")
    assert not log.killed(4712)
    assert log.killed(4711)
    assert not log.killed(4711)
    log.close()


def test_without_a_kernel_log_nobody_was_killed(tmp_path: Path) -> None:
    assert not KernelLog(str(tmp_path / "none")).killed(1)


def test_join_cgroup_joins_every_hierarchy() -> None:
    name = f"wharfie-test-{os.getpid()}"
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    joined = join_cgroup(name, pid=pid)
    try:
        assert joined
        assert procfs.is_alive(pid)
        for directory in joined:
            assert str(pid) in Path(f"{directory}/cgroup.procs").read_text().split()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        # Also those that were made and could not be joined (cpuset without processors of its own).
        for group in {*map(Path, joined), *Path("/sys/fs/cgroup").glob(f"*/{name}")}:
            until(partial(_rmdir, group))
