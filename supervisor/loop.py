"""The supervisor's one loop: descriptors, timers and signals, nothing that blocks.

A plain `selectors` loop, because it has to be cheap in memory and safe to fork under. Callbacks run one after another
in the order in which the kernel names descriptors; timers run after them, so that what has arrived is seen before the
clock is believed (a supervisor that was itself stopped for a while must not take its children for dead).
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from types import FrameType

Callback = Callable[[], None]


class Timer:
    """A callback at a moment; `cancel` takes it back."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Do not call any more. Idempotent."""
        self.callback = None


class _Watch:
    """One descriptor's callbacks; `active` ends with the registration, whatever is in the present batch."""

    def __init__(self, fd: int, on_readable: Callback) -> None:
        self.fd = fd
        self.on_readable = on_readable
        self.on_writable: Callback | None = None
        self.active = True


class Loop:
    """Descriptors and timers of one thread. Owns no descriptor but the one of epoll."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._watches: dict[int, _Watch] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()

    @staticmethod
    def now_s() -> float:
        """The monotonic clock."""
        return time.monotonic()

    def watch(self, fd: int, on_readable: Callback) -> None:
        """Call back whenever `fd` is readable or has ended, until `unwatch`."""
        self._watches[fd] = watch = _Watch(fd, on_readable)
        self._selector.register(fd, selectors.EVENT_READ, watch)

    def watch_writable(self, fd: int, on_writable: Callback | None) -> None:
        """Call back as well whenever a watched `fd` is writable; None ends that."""
        watch = self._watches[fd]
        watch.on_writable = on_writable
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_writable is not None else 0)
        self._selector.modify(fd, mask, watch)

    def unwatch(self, fd: int) -> None:
        """Call back no more; before `fd` is closed. Idempotent."""
        watch = self._watches.pop(fd, None)
        if watch is not None:
            watch.active = False
            self._selector.unregister(fd)

    def call_at(self, at_s: float, callback: Callback) -> Timer:
        """Call back once at a moment of the monotonic clock."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (at_s, next(self._count), timer))
        return timer

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Call back once after a while."""
        return self.call_at(self.now_s() + delay_s, callback)

    def turn(self, until_s: float = math.inf) -> None:
        """Wait for a descriptor, a timer or the moment `until_s`, and call back for all that has come."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers:
            until_s = min(until_s, self._timers[0][0])
        timeout = None if math.isinf(until_s) else max(0.0, until_s - self.now_s())
        for key, mask in self._selector.select(timeout):
            watch: _Watch = key.data
            if mask & selectors.EVENT_READ and watch.active:
                watch.on_readable()
            if mask & selectors.EVENT_WRITE and watch.active and watch.on_writable is not None:
                watch.on_writable()
        now_s = self.now_s()
        while self._timers and self._timers[0][0] <= now_s:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def close(self) -> None:
        """Close epoll's descriptor; the watched ones are their owners'."""
        self._selector.close()


class Signals:
    """Signals as messages: a handler writes the number into a pipe and the loop reads it there.

    A fork inherits handlers and pipe, so a child has to reset both before it lets signals through
    (`supervisor.child`); otherwise its signals would be ours.
    """

    def __init__(self, loop: Loop, numbers: Iterable[signal.Signals], on_signal: Callable[[int], None]) -> None:
        self._loop = loop
        self._on_signal = on_signal
        self._numbers = tuple(numbers)
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # A full pipe loses nothing that matters: every number in it is handled, and SIGCHLD asks for a whole look.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _noted) for number in self._numbers}
        loop.watch(self._read, self._on_readable)

    def _on_readable(self) -> None:
        try:
            numbers = os.read(self._read, 4096)
        except BlockingIOError:
            return
        for number in dict.fromkeys(numbers):
            self._on_signal(number)

    def close(self) -> None:
        """Put the former handlers back."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._loop.unwatch(self._read)
        os.close(self._read)
        os.close(self._write)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor has the number already."""
