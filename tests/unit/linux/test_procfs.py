from __future__ import annotations

import os
import signal
import sys

import pytest

from linux import prctl, procfs
from tests.support.wait import until


def test_what_proc_tells_about_ourselves() -> None:
    pid = os.getpid()
    assert procfs.parent(pid) == os.getppid()
    assert procfs.state(pid) == "R"
    assert procfs.command_line(pid)[0].endswith(os.path.basename(sys.orig_argv[0]))
    assert 1_000_000 < procfs.pss_bytes(pid) < 2_000_000_000


def test_a_name_with_blanks_and_parentheses_confuses_nobody() -> None:
    pid = os.fork()
    if pid == 0:
        prctl.set_name(") S 1 (x y")
        signal.pause()
    until(lambda: procfs.name(pid) == ") S 1 (x y")
    assert procfs.parent(pid) == os.getpid()
    assert procfs.start_time(pid) >= procfs.start_time(os.getpid())
    assert pid in procfs.children(os.getpid())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_zombie_is_not_alive_and_has_no_command_line() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    until(lambda: procfs.state(pid) == "Z")
    assert not procfs.is_alive(pid)
    assert procfs.command_line(pid) == []
    os.waitpid(pid, 0)
    assert not procfs.is_alive(pid)


def test_alive_means_the_same_process() -> None:
    pid = os.getpid()
    assert procfs.is_alive(pid)
    assert procfs.is_alive(pid, started=procfs.start_time(pid))
    assert not procfs.is_alive(pid, started=1)


def test_every_question_about_a_process_that_is_gone_is_the_same_error() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for ask in (
        procfs.start_time,
        procfs.state,
        procfs.parent,
        procfs.name,
        procfs.command_line,
        procfs.pss_bytes,
        procfs.children,
    ):
        with pytest.raises(ProcessLookupError):
            ask(pid)
