"""The supervisor's end of a control channel: never blocks, whatever the child does or fails to do.

What does not fit the socket's buffer waits in a bounded queue. A child that does not read for so long that the queue
overflows does not beat either, and is ended for that; until then further messages to it are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from actors.control import ControlMessage, FromChild, decode_from_child, encode
from linux import unixsocket
from supervisor.loop import Loop

log = logging.getLogger("supervisor")

QUEUE_MAX = 1024
BATCH = 64
"""Messages taken from one child in a turn, so that a chatty one does not starve the others."""


class Channel:
    """One child's channel. Owns its socket."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        *,
        name: str,
        on_message: Callable[[FromChild, list[int]], None],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._name = name
        self._on_message = on_message
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.dropped = 0
        loop.watch(sock.fileno(), self._on_readable)

    @property
    def closed(self) -> bool:
        """Nothing more can be sent or received."""
        return self._sock.fileno() < 0

    def send(self, message: ControlMessage, fds: Sequence[int] = ()) -> None:
        """Send a message, now or when there is room. Takes `fds` over and closes them. Never raises for the child."""
        if self.closed or len(self._queue) >= QUEUE_MAX:
            self.dropped += not self.closed
            _close(fds)
            return
        self._queue.append((encode(message), tuple(fds)))
        if len(self._queue) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._queue:
            data, fds = self._queue[0]
            try:
                unixsocket.send(self._sock, data, fds)
            except BlockingIOError:
                self._loop.watch_writable(self._sock.fileno(), self._on_writable)
                return
            except OSError:
                # The child is gone or going; its pidfd tells the rest.
                self._drop_queue()
                return
            self._queue.popleft()
            _close(fds)

    def _on_writable(self) -> None:
        self._loop.watch_writable(self._sock.fileno(), None)
        self._flush()

    def _on_readable(self) -> None:
        self._receive(BATCH)

    def drain(self) -> None:
        """Take everything that has come; before a death is dealt with, so that last words are heard."""
        self._receive(QUEUE_MAX * BATCH)

    def _receive(self, limit: int) -> None:
        for _ in range(limit):
            if self.closed:
                return
            try:
                data, fds = unixsocket.recv(self._sock)
            except BlockingIOError:
                return
            except (EOFError, OSError):
                self._loop.unwatch(self._sock.fileno())
                return
            except ValueError as error:
                log.warning("packet of a child is no message", extra={"actor": self._name, "error": str(error)})
                continue
            try:
                message = decode_from_child(data)
            except msgspec.MsgspecError as error:
                _close(fds)
                log.warning("message of a child cannot be read", extra={"actor": self._name, "error": str(error)})
                continue
            self._on_message(message, fds)

    def close(self) -> None:
        """Close the socket and what still waited to be sent. Idempotent."""
        if not self.closed:
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
        self._drop_queue()

    def _drop_queue(self) -> None:
        for _, fds in self._queue:
            _close(fds)
        self._queue.clear()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
