"""A shim as a process: naming it for good, and ending it with what it has started.

A shim leads a session and a process group; the OCI runtimes that it starts are in that group, the container's
processes are in sessions of their own. So what a dead or stuck shim has under way (a `runc create` that would make a
container after everything was cleaned up) can be ended without touching the container.
"""

from __future__ import annotations

import contextlib
import os
import signal

from linux import pidfd, procfs

_FOLLOWERS = ("runc", "crun", "wharfie-shim")
"""How the names of what a shim starts begin: runtimes, and forks of itself that mount."""

_PATIENCE_S = 1.0


def started(pid: int) -> int:
    """The start time that names a process together with its pid; 0 when it is gone."""
    try:
        return procfs.start_time(pid)
    except ProcessLookupError:
        return 0


def end(pid: int, start_time: int, *, runtime: str) -> None:
    """Blocking: kill a shim, if it is still this one, and the runtimes that it started. Idempotent.

    Args:
        pid: 0 when nobody knows it; then nothing happens.
        start_time: as `started` said it.
        runtime: the program, whose name its processes bear.
    """
    if not pid or started(pid) not in (0, start_time):
        # Nobody's, or the number is another process's by now, and so is its group.
        return
    _kill(pid, start_time)
    for follower in _followers(pid, (*_FOLLOWERS, os.path.basename(runtime)[:15])):
        _kill(follower, started(follower))


def _kill(pid: int, start_time: int) -> None:
    try:
        fd = pidfd.open_pidfd(pid, started=start_time)
    except ProcessLookupError:
        return
    try:
        if pidfd.send_signal(fd, signal.SIGKILL):
            pidfd.exited(fd, timeout_s=_PATIENCE_S)
    finally:
        os.close(fd)


def _followers(group: int, names: tuple[str, ...]) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(ProcessLookupError):
            pid = int(entry)
            if os.getpgid(pid) == group and pid != group and procfs.name(pid).startswith(names):
                found.append(pid)
    return found
