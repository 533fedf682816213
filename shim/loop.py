"""The loop of a shim: descriptors, ended children and a few timers, in one thread and without a selector's objects.

SIGCHLD is blocked and read from a signalfd, so that no handler ever runs between two bytecodes. Every child is reaped
here, as a subreaper must: its status goes to the function that waits for this pid, or else to `on_orphan`.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from linux.syscall import check, libc
from shim import rawsignal
from shim.complaint import complain_of_bug
from shim.rawsignal import SIGCHLD

_SIGSET_SIZE = 128
_SFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_INFO_SIZE = 128
_EVENTS = 16

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

OnReady = Callable[[int], None]
OnExit = Callable[[int, int], None]


def exit_status_of(status: int) -> int:
    """The exit status of a wait status, as shells write it: the code, or 128 + signal. Pure."""
    return 128 + (status & 0x7F) if status & 0x7F else status >> 8 & 0xFF


class Loop:
    """Calls what waits. Not re-entrant; everything of a shim happens inside `run`."""

    __slots__ = ("_epoll", "_exits", "_ready", "_signals", "_stopped", "_timers", "on_orphan")

    def __init__(self, on_orphan: OnExit) -> None:
        self._epoll = select.epoll(_EVENTS)
        self._ready: dict[int, OnReady] = {}
        self._exits: dict[int, OnExit] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._stopped = False
        self.on_orphan = on_orphan
        """Gets (pid, exit status) of every child that `on_exit` does not wait for."""
        rawsignal.block(SIGCHLD)
        mask = (1 << (SIGCHLD - 1)).to_bytes(_SIGSET_SIZE, "little")
        self._signals = check(libc.signalfd(-1, mask, _SFD_FLAGS))
        self.add(self._signals, self._on_signal)

    def add(self, fd: int, on_ready: OnReady, events: int = READ) -> None:
        """Call `on_ready(events)` whenever `fd` is ready, until `remove`."""
        self._ready[fd] = on_ready
        self._epoll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of `fd`."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget `fd`; before it is closed."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def on_exit(self, pid: int, then: OnExit) -> None:
        """Call `then(pid, exit_status)` when this child has ended; once."""
        self._exits[pid] = then

    def later(self, delay_s: float, then: Callable[[], None]) -> None:
        """Call `then` after a while; it cannot be cancelled, so it checks whether it is still wanted."""
        self._timers.append((time.monotonic() + delay_s, then))

    def stop(self) -> None:
        """End `run` after this turn."""
        self._stopped = True

    def run(self) -> None:
        """Serve until `stop`."""
        # Children may have ended before the signal was blocked.
        self._reap()
        ready = self._ready
        while not self._stopped:
            for fd, events in self._epoll.poll(self._pause()):
                # Removed by one of those before it in this turn: its number may be somebody else's already.
                on_ready = ready.get(fd)
                if on_ready is not None:
                    self._call(on_ready, events)
            if self._timers:
                self._run_timers()

    def _pause(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(when for when, _ in self._timers) - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        due = [then for when, then in self._timers if when <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for then in due:
            self._call(then)

    @staticmethod
    def _call(function: Callable[..., None], *args: int) -> None:
        try:
            function(*args)
        except Exception:  # whatever it is, the container's keeper stays
            complain_of_bug(getattr(function, "__qualname__", "a callback"))

    def _on_signal(self, _events: int) -> None:
        try:
            while os.read(self._signals, _INFO_SIZE):
                pass
        except BlockingIOError:
            pass
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            then = self._exits.pop(pid, None) or self.on_orphan
            self._call(then, pid, exit_status_of(status))
