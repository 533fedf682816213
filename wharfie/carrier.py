"""A connection on an asyncio loop: an outbox that never refuses, and messages handed over as they come.

Serves the asynchronous client and the workers' loops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

from wharfie.connection import Connection

IDLE_RETRY_S = 0.002


class Carrier:
    """Reads and writes a connection on the running loop; `start` it, and `stop` it, which closes the connection.

    Args:
        connection: owned from now on.
        on_messages: given all messages of one wake-up. What it posts leaves together, after it has returned.
    """

    def __init__(self, connection: Connection, on_messages: Callable[[list[list[Any]]], None]) -> None:
        self._connection = connection
        self._on_messages = on_messages
        self._outbox: deque[list[Any]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._writing = False
        self._retry: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._outbox)

    def start(self) -> None:
        """Connect and serve on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._on_readable)

    def post(self, frames: list[Any]) -> None:
        """Put a message behind the others; `flush` sends it, or the next wake-up."""
        self._outbox.append(frames)

    def flush(self) -> None:
        """Send what the connection takes."""
        outbox = self._outbox
        connection = self._connection
        while outbox and connection.send(outbox[0]):
            outbox.popleft()
        connection.flush()
        self._watch()
        if connection.edge_triggered and self._loop is not None:
            # Sending may have consumed the edge of something that came in.
            self._loop.call_soon(self._on_readable)

    def stop(self, *, linger_s: float = 0.2) -> None:
        """Send what can be sent and close. Idempotent."""
        self.flush()
        self._loop = None
        self._unwatch()
        if self._retry is not None:
            self._retry.cancel()
        self._connection.close(linger_s=linger_s)

    def _on_readable(self) -> None:
        if self._loop is None:
            return
        messages = self._connection.receive()
        if messages:
            self._on_messages(messages)
            if self._connection.edge_triggered:
                self._loop.call_soon(self._on_readable)
        self._watch()
        if self._outbox:
            self.flush()

    def _on_writable(self) -> None:
        self._connection.flush()
        self.flush()

    def _watch(self) -> None:
        """Have the loop look at the descriptor that the connection has now, for what it waits for."""
        loop = self._loop
        if loop is None:
            return
        fd = self._connection.fileno()
        if fd != self._fd:
            self._unwatch()
            if fd != -1:
                self._fd = fd
                loop.add_reader(fd, self._on_readable)
        wants_write = fd != -1 and self._connection.wants_write()
        if wants_write != self._writing:
            self._writing = wants_write
            if wants_write:
                loop.add_writer(fd, self._on_writable)
            else:
                loop.remove_writer(fd)
        retry_s = self._connection.retry_s()
        if retry_s is None and self._outbox and not wants_write:
            # Connected, yet it takes no more: libzmq's queue is full, and nothing tells when that is over.
            retry_s = IDLE_RETRY_S
        if retry_s is not None and self._retry is None:
            self._retry = loop.call_later(retry_s, self._again)

    def _unwatch(self) -> None:
        if self._fd != -1:
            loop = asyncio.get_running_loop()
            for remove in (loop.remove_reader, loop.remove_writer):
                # The connection may have closed it already; the loop then forgets it, and says so.
                with contextlib.suppress(OSError):
                    remove(self._fd)
        self._fd, self._writing = -1, False

    def _again(self) -> None:
        self._retry = None
        self._on_readable()
