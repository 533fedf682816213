from __future__ import annotations

import os
import signal

import pytest

from linux import pidfd, procfs


def child(code: int | None = None) -> int:
    """Fork a child that exits with `code`, or waits for a signal."""
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        while code is None:
            signal.pause()
        os._exit(code)
    return pid


def test_exit_code_is_reaped_through_the_descriptor() -> None:
    pid = child(7)
    fd = pidfd.open_pidfd(pid)
    assert pidfd.exited(fd, timeout_s=10)
    assert pidfd.reap(fd) == pidfd.ExitStatus(pid=pid, code=7)
    assert not pidfd.send_signal(fd, signal.SIGTERM)
    with pytest.raises(ChildProcessError):
        pidfd.reap(fd)
    os.close(fd)


def test_a_signal_is_sent_and_told_as_128_and_the_signal() -> None:
    pid = child()
    fd = pidfd.open_pidfd(pid, started=procfs.start_time(pid))
    assert not pidfd.exited(fd)
    assert pidfd.reap(fd) is None
    assert pidfd.send_signal(fd, signal.SIGKILL)
    assert pidfd.reap(fd, block=True) == pidfd.ExitStatus(pid=pid, code=137, signal=9)
    os.close(fd)


def test_another_process_with_the_same_pid_is_not_taken_for_the_one_meant() -> None:
    pid = os.getpid()
    with pytest.raises(ProcessLookupError, match="not the one"):
        pidfd.open_pidfd(pid, started=procfs.start_time(pid) + 1)


def test_a_pid_of_nobody_is_an_error() -> None:
    pid = child(0)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        pidfd.open_pidfd(pid)
