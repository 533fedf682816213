"""The stack pipe of a child: what faulthandler and an uncaught exception write about it.

The child holds the writing end for life; the supervisor keeps the tail of what comes, for the crash report, and logs
a dump that somebody asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from supervisor.loop import Loop, Timer

TAIL_BYTES = 32 * 1024
QUIET_S = 0.02
"""A dump is over when nothing more has come for so long."""


class StackPipe:
    """The reading end. Owns both ends until the fork has been made, then the reading one."""

    def __init__(self, loop: Loop, on_dump: Callable[[str], None]) -> None:
        self._loop = loop
        self._on_dump = on_dump
        self._fd, self.child_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        self._tail = bytearray()
        self.received = 0
        """Bytes that have come so far."""
        self._fresh = bytearray()
        self._quiet: Timer | None = None
        loop.watch(self._fd, self._on_readable)

    def close_child_end(self) -> None:
        """After the fork. Idempotent."""
        if self.child_fd >= 0:
            os.close(self.child_fd)
            self.child_fd = -1

    @property
    def text(self) -> str:
        """The tail of all that has come."""
        return self._tail.decode(errors="replace")

    def since(self, received: int) -> str:
        """What has come since there were so many bytes, as far as it is kept."""
        fresh = self.received - received
        return self._tail[-fresh:].decode(errors="replace") if fresh else ""

    def drain(self) -> None:
        """Take what has come; before a crash report is made."""
        while self._fd >= 0 and self._read():
            pass

    def _on_readable(self) -> None:
        if self._read():
            if self._quiet is not None:
                self._quiet.cancel()
            self._quiet = self._loop.call_later(QUIET_S, self._dumped)
        else:
            self._loop.unwatch(self._fd)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return False
        self.received += len(data)
        for buffer in (self._tail, self._fresh):
            buffer.extend(data)
            del buffer[:-TAIL_BYTES]
        return bool(data)

    def _dumped(self) -> None:
        text = self._fresh.decode(errors="replace")
        self._fresh.clear()
        self._quiet = None
        if text:
            self._on_dump(text)

    def close(self) -> None:
        """Close what is still open here. Idempotent."""
        self.close_child_end()
        if self._quiet is not None:
            self._quiet.cancel()
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
