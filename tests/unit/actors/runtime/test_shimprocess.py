from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from actors.runtime import shimprocess
from linux.prctl import set_name
from tests.support.wait import until


@pytest.fixture
def shim() -> Iterator[int]:
    """A process that leads a group, with a follower in it that bears a runtime's name and one that does not."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for name in ("runc:[2:INIT]", "innocent"):
            if os.fork() == 0:
                set_name(name)
                signal.pause()
        signal.pause()
    until(lambda: sorted(names(pid)) == ["innocent", "runc:[2:INIT]"])
    yield pid
    for follower in members(pid):
        os.kill(follower, signal.SIGKILL)
    os.waitpid(pid, 0)


def members(group: int) -> list[int]:
    out = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def names(group: int) -> list[str]:
    found = []
    for pid in members(group):
        if pid != group:
            with open(f"/proc/{pid}/comm") as file:
                found.append(file.read().strip())
    return found


def test_a_shim_ends_with_the_runtimes_that_it_started_and_nobody_else(shim: int) -> None:
    shimprocess.end(shim, shimprocess.started(shim), runtime="/usr/sbin/runc")
    until(lambda: names(shim) == ["innocent"])
    assert shim not in members(shim)


def test_another_process_that_has_the_pid_by_now_is_left_alone(shim: int) -> None:
    shimprocess.end(shim, shimprocess.started(shim) + 1, runtime="/usr/sbin/other")
    assert shim in members(shim)
    assert sorted(names(shim)) == ["innocent", "runc:[2:INIT]"]


def test_a_shim_that_is_gone_or_unknown_is_no_error() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert shimprocess.started(pid) == 0
    shimprocess.end(pid, 5, runtime="runc")
    shimprocess.end(0, 0, runtime="runc")
