"""The loop of a shim: descriptors, ended children and a few timers, in one thread and without a selector's objects.

SIGCHLD is blocked and read from a signalfd, so that no handler ever runs between two bytecodes. Every child is reaped
here, as a subreaper must: its status goes to the function that waits for this pid, or else to `on_orphan`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from os import read as read_fd
from os import waitpid
from select import EPOLLIN, EPOLLOUT, epoll
from time import monotonic

from linux.syscall import check, libc
from shim import rawsignal
from shim.complaint import complain_of_bug

READ = EPOLLIN
WRITE = EPOLLOUT

_SIGNALFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_SIGNALFD_MASK = (1 << (rawsignal.SIGCHLD - 1)).to_bytes(128, "little")
_SIGNALFD_BYTES = 128
_MAX_EVENTS = 16
_WNOHANG = os.WNOHANG
_signalfd = libc.signalfd

OnReady = Callable[[int], None]
OnExit = Callable[[int, int], None]


def exit_status_of(status: int) -> int:
    """The exit status of a wait status, as shells write it: the code, or 128 + signal. Pure."""
    return 128 + (status & 0x7F) if status & 0x7F else status >> 8 & 0xFF


class Loop:
    """Calls what waits. Not re-entrant; everything of a shim happens inside `run`."""

    __slots__ = ("_count", "_epoll", "_exits", "_is_stopped", "_ready", "_signals", "_timers", "on_orphan")

    def __init__(self, on_orphan: OnExit) -> None:
        self._epoll = epoll()
        self._ready: dict[int, OnReady] = {}
        self._exits: dict[int, OnExit] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        """Of timers; two of one time are in the order in which they were set."""
        self._is_stopped = False
        self.on_orphan = on_orphan
        """Gets (pid, exit status) of every child that `on_exit` does not wait for."""
        rawsignal.block(rawsignal.SIGCHLD)
        self._signals = check(_signalfd(-1, _SIGNALFD_MASK, _SIGNALFD_FLAGS))
        self.add(self._signals, self._on_signal)

    def add(self, fd: int, on_ready: OnReady) -> None:
        """Call `on_ready(events)` whenever `fd` is readable or broken, until `remove`."""
        self._ready[fd] = on_ready
        self._epoll.register(fd, READ)

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of `fd`."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget `fd`; before it is closed. Idempotent."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def on_exit(self, pid: int, then: OnExit) -> None:
        """Call `then(pid, exit_status)` when this child has ended; once."""
        self._exits[pid] = then

    def later(self, delay_s: float, then: Callable[[], None]) -> None:
        """Call `then` after a while; it cannot be cancelled, so it checks whether it is still wanted."""
        self._count += 1
        self._timers.append((monotonic() + delay_s, self._count, then))

    def stop(self) -> None:
        """End `run` after this turn."""
        self._is_stopped = True

    def run(self) -> None:
        """Serve until `stop`."""
        # Children may have ended before the signal was blocked.
        self._reap()
        while not self._is_stopped:
            self.turn()

    def turn(self, limit_s: float | None = None) -> None:
        """Wait until something happens or the limit is reached, and handle what happened."""
        ready = self._ready
        for fd, events in self._epoll.poll(self._pause() if limit_s is None else limit_s, _MAX_EVENTS):
            # Removed by one of those before it in this turn: its number may be somebody else's already.
            on_ready = ready.get(fd)
            if on_ready is not None:
                try:
                    on_ready(events)
                except Exception:  # whatever it is, the container's keeper stays
                    complain_of_bug("a descriptor's callback")
        if self._timers:
            self._run_timers()

    def _pause(self) -> float | None:
        if not self._timers:
            return None
        # The one that is due first, since timers differ in their times. No comprehensions on these paths: each makes a
        # function, and its pages.
        return max(0.0, min(self._timers)[0] - monotonic())

    def _run_timers(self) -> None:
        now = monotonic()
        while self._timers and (first := min(self._timers))[0] <= now:
            self._timers.remove(first)
            try:
                first[2]()
            except Exception:
                complain_of_bug("a timer")

    def _on_signal(self, _events: int) -> None:
        # Which children it was, waitpid tells. A pending signal is one, however often it was sent.
        read_fd(self._signals, _SIGNALFD_BYTES)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = waitpid(-1, _WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            then = self._exits.pop(pid, None) or self.on_orphan
            try:
                then(pid, exit_status_of(status))
            except Exception:
                complain_of_bug("a child's exit")

    def close(self) -> None:
        """Close its own descriptors; what was added stays its owner's. Leaves SIGCHLD blocked."""
        self._epoll.close()
        os.close(self._signals)
