"""One living process of a child: its descriptors and the last it said of itself."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Any

import msgspec

from actors.control import Beat
from linux import pidfd
from supervisor.channel import Channel
from supervisor.events import Exit
from supervisor.memory import KernelLog, MemoryGroup
from supervisor.stack import StackPipe

_PAGE_BYTES = resource.getpagesize()


class Incarnation:
    """A process with its pidfd, control channel and stack pipe, all of which it owns."""

    def __init__(
        self,
        *,
        name: str,
        generation: int,
        pid: int,
        channel: Channel,
        stack: StackPipe,
        group: MemoryGroup | None,
    ) -> None:
        self.name = name
        self.generation = generation
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.channel = channel
        self.stack = stack
        self.group = group
        self.info: dict[str, Any] = {}
        self.last_beat = Beat()
        self.rss_bytes = 0

    def beat(self, beat: Beat) -> None:
        """Note what a heartbeat said, and how much memory the process has."""
        self.last_beat = beat
        self.rss_bytes = rss_bytes(self.pid)

    def signal(self, number: int) -> None:
        """Send a signal to this very process; it may be gone."""
        pidfd.send_signal(self.pidfd, number)

    def close(self) -> None:
        """Close everything; the process has been reaped."""
        self.channel.close()
        self.stack.close()
        os.close(self.pidfd)
        if self.group is not None:
            self.group.close()


class Departed(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of an incarnation for its crash report."""

    stack: str = ""
    rss_bytes: int = 0
    peak_rss_bytes: int = 0


def rss_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def reap(pid: int, *, with_group: bool = True) -> tuple[Exit, int] | None:
    """Take the exit of a child of ours and its peak resident memory in bytes; None while it runs.

    Ends what is left of its process group, unless told not to.
    """
    if with_group:
        # While the leader is a zombie its group's number cannot come to mean another group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    found, status, usage = os.wait4(pid, os.WNOHANG)
    if not found:
        return None
    code = os.waitstatus_to_exitcode(status)
    end = Exit(code=code) if code >= 0 else Exit(signal=-code)
    return end, usage.ru_maxrss * 1024


def was_oom(end: Exit, *, pid: int, group: MemoryGroup | None, kernel_log: KernelLog) -> bool:
    """The kernel ended this process for want of memory."""
    if end.signal != signal.SIGKILL:
        return False
    return (group is not None and group.oom_kills() > 0) or kernel_log.killed(pid)
