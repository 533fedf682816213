"""The timeouts of the daemon: one name for each stage that may hang, with its default.

containerd's four keep their names, and their long form (`io.containerd.timeout.shim.load`) is accepted as well.
A timeout is always more than zero: a stage without a bound would be a daemon that hangs.
"""

from __future__ import annotations

import msgspec

from config.kind import duration

CONTAINERD_PREFIX = "io.containerd.timeout."

# Seven days stay below 2^31 ms, the longest sleep of poll(2) and epoll_wait(2).
LONGEST_WAIT_S = 7 * 24 * 3600.0
SHORTEST_WAIT_S = 0.001

TIMEOUT_KIND = duration(SHORTEST_WAIT_S, LONGEST_WAIT_S)


class Timeout(msgspec.Struct, frozen=True):
    """One stage's bound: its default in seconds and what it bounds."""

    default_s: float
    help: str


TIMEOUTS: dict[str, Timeout] = {
    "shim.load": Timeout(5.0, "adopting one running shim after a start: connect, its state and its pids"),
    "shim.start": Timeout(10.0, "from the fork of a shim to its first answer"),
    "shim.cleanup": Timeout(5.0, "each clean-up after a shim died or a create failed"),
    "shim.shutdown": Timeout(3.0, "the shim's last call, at the end of a task's deletion"),
    "task.state": Timeout(2.0, "asking one task's shim for its state in a get or a list"),
    "task.io_drain": Timeout(10.0, "reading what is left in a task's output when it is deleted"),
    "runtime.command": Timeout(60.0, "one run of the runtime's program, such as `runc create`"),
    "boot.mounts": Timeout(5.0, "unmounting what an earlier run left in the directory of temporary mounts"),
    "boot.router": Timeout(5.0, "from the fork of the router to its ready message"),
    "boot.worker": Timeout(10.0, "from the fork of a worker to its ready message"),
    "stop.router": Timeout(2.0, "from asking the router to stop to SIGKILL"),
    "stop.worker": Timeout(5.0, "from asking a worker to stop to SIGKILL"),
    "stop.job": Timeout(2.0, "from asking a job to stop to SIGKILL, when the daemon stops"),
    "job.kill": Timeout(2.0, "from SIGTERM to SIGKILL for a job that was cancelled"),
    "hang.step": Timeout(0.5, "from the stack dump of a hung process to SIGABRT, and from there to SIGKILL"),
}


def short_name(name: str) -> str:
    """Return a timeout's own name for containerd's long one; any other name unchanged."""
    return name.removeprefix(CONTAINERD_PREFIX)
