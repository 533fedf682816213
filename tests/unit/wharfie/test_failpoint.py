"""Failpoints: free when unset, armed by a file, gone off exactly once."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.failpoints import Failpoints, all_names
from wharfie import errors, failpoint


@pytest.fixture
def points(tmp_path: Path) -> Iterator[Failpoints]:
    points = Failpoints(tmp_path / "points")
    failpoint.enable(str(points.directory))
    yield points
    failpoint.enable("")


def status_of_fork(name: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            failpoint.hit(name)
        finally:
            os._exit(99)
    return os.waitpid(pid, os.WUNTRACED)[1]


def test_unset_it_is_the_empty_function() -> None:
    assert failpoint.hit is failpoint._off


def test_a_point_that_is_not_armed_does_nothing(points: Failpoints) -> None:
    points.arm("a.b.d", "error aborted")
    failpoint.hit("a.b.c")
    assert not points.was_hit("a.b.d")


def test_kill_exit_and_stop_end_the_process_as_they_say(points: Failpoints) -> None:
    points.arm("a.b.c", "kill")
    assert os.WTERMSIG(status_of_fork("a.b.c")) == signal.SIGKILL
    points.arm("a.b.c", "exit 7")
    assert os.WEXITSTATUS(status_of_fork("a.b.c")) == 7
    pid = os.fork()
    if pid == 0:
        points.arm("a.b.c", "stop")
        failpoint.hit("a.b.c")
        os._exit(0)
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_it_goes_off_exactly_once(points: Failpoints) -> None:
    points.arm("a.b.c", "kill")
    assert os.WIFSIGNALED(status_of_fork("a.b.c"))
    assert points.was_hit("a.b.c")
    assert os.WEXITSTATUS(status_of_fork("a.b.c")) == 99
    points.arm("a.b.c", "kill")
    assert not points.was_hit("a.b.c")
    assert os.WIFSIGNALED(status_of_fork("a.b.c"))


def test_errors_are_raised_with_their_code(points: Failpoints) -> None:
    points.arm("a.b.c", "error data_loss")
    with pytest.raises(errors.DataLoss, match=r"a\.b\.c"):
        failpoint.hit("a.b.c")
    points.arm("a.b.c", "enospc")
    with pytest.raises(OSError) as caught:
        failpoint.hit("a.b.c")
    assert caught.value.errno == errno.ENOSPC
    points.arm("a.b.c", "explode")
    with pytest.raises(ValueError, match="unknown action 'explode'"):
        failpoint.hit("a.b.c")


def test_delay_delays(points: Failpoints) -> None:
    points.arm("a.b.c", "delay 30")
    begin = time.monotonic()
    failpoint.hit("a.b.c")
    assert time.monotonic() - begin >= 0.03


def test_every_name_in_the_source_is_a_literal_of_the_agreed_form() -> None:
    for name, places in all_names().items():
        assert re.fullmatch(r"[a-z]+(\.[a-z0-9-]+)+", name), f"{name} at {places}"
