"""Process descriptors: a process named so that the name cannot come to mean another one."""

from __future__ import annotations

import os
import select
import signal
from typing import NamedTuple

from linux.procfs import start_time


class ExitStatus(NamedTuple):
    """How a process ended: by `code`, or by `signal` and then `code` is 128 + signal, as shells write it."""

    pid: int
    code: int
    signal: int = 0
    core: bool = False


def open_pidfd(pid: int, *, started: int | None = None) -> int:
    """Return a descriptor of process `pid`; it is close-on-exec and the caller closes it.

    `started` is the start time in ticks that the caller noted (`procfs.start_time`): a process that has the
    pid by now, but not the time, is another one. Raises `ProcessLookupError` for that and for no process.
    """
    fd = os.pidfd_open(pid)
    try:
        # After opening: from here on the descriptor holds on to whoever the pid was at the time.
        if started is not None and start_time(pid) != started:
            raise ProcessLookupError(f"process {pid} is not the one that started at tick {started}")
    except BaseException:
        os.close(fd)
        raise
    return fd


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; return False when the process has already been reaped (a zombie counts as there)."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def exited(pidfd: int, *, timeout_s: float = 0.0) -> bool:
    """Say whether the process has ended, waiting up to `timeout_s` for it.

    Works for processes of others too.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def reap(pidfd: int, *, block: bool = False) -> ExitStatus | None:
    """Take the exit status of a child; None while it runs (unless `block`).

    Raises `ChildProcessError` when the process is no child of ours or has been reaped.
    """
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | (0 if block else os.WNOHANG))
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return ExitStatus(pid=result.si_pid, code=result.si_status)
    return ExitStatus(
        pid=result.si_pid,
        code=128 + result.si_status,
        signal=result.si_status,
        core=result.si_code == os.CLD_DUMPED,
    )
