"""Out-of-memory kills in a container: noticed when the kernel tells, counted when it has done it."""

from __future__ import annotations

from collections.abc import Callable
from os import close as close_fd

from linux.oom import open_watch, read_kills
from shim.complaint import complain
from shim.loop import Loop

RECHECKS_S = (0.02, 0.2)
"""cgroup v1 tells just before it kills, so the count is looked at again after these."""


class OomGuard:
    """Watches one memory control group and calls `on_kill` once for each growth of its count. Owns its descriptor."""

    __slots__ = ("_fd", "_loop", "_on_kill", "_path", "count")

    def __init__(self, loop: Loop, on_kill: Callable[[], None]) -> None:
        self._loop = loop
        self._on_kill = on_kill
        self._fd = -1
        self._path = ""
        self.count = 0

    def watch(self, directory: str) -> None:
        """Begin; where it is not possible, the log says so and no kill is ever seen."""
        try:
            self._fd, self._path = open_watch(directory)
        except OSError as error:
            complain(f"out-of-memory kills in '{directory}' cannot be seen: {error}")
            return
        self._loop.add(self._fd, self._on_ready)

    def _on_ready(self, _events: int) -> None:
        self.check()
        for delay_s in RECHECKS_S:
            self._loop.later(delay_s, self.check)

    def check(self) -> None:
        """Look at the count now; asked also when a process has ended, so that the kill is told before the exit."""
        if self._fd < 0:
            return
        count = read_kills(self._fd, self._path)
        if count is not None and count > self.count:
            self.count = count
            self._on_kill()

    def close(self) -> None:
        """Stop watching; idempotent."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            close_fd(self._fd)
            self._fd = -1
