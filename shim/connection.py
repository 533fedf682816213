"""A connection of the runtime worker to the shim, and the door that lets it in.

Nothing here blocks: what a slow peer does not take is kept, and a peer that takes nothing for too long is dropped; it
comes back and gets the events again.
"""

from __future__ import annotations

import _socket
import os
from collections import deque
from collections.abc import Callable

from linux import unixsocket
from shim.loop import READ, WRITE, Loop

MAX_CONNECTIONS = 8
"""One daemon needs one; more are old ones that are not quite dead."""

MAX_OUTBOX = 1024
"""Messages kept for a peer that does not read."""

MAX_BATCH = 16
"""Messages taken from one peer before others have their turn."""

OnMessage = Callable[["Connection", bytes], None]


class Connection:
    """One peer. `is_subscribed`: events are sent to it."""

    __slots__ = ("_fd", "_loop", "_on_close", "_on_message", "_outbox", "_socket", "is_subscribed")

    def __init__(
        self,
        fd: int,
        loop: Loop,
        on_message: OnMessage,
        on_close: Callable[[Connection], None],
    ) -> None:
        # The bare type: `socket.socket` would turn each property into an enum.
        self._socket = _socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._fd = fd
        self._loop = loop
        self._on_message = on_message
        self._on_close = on_close
        self._outbox: deque[bytes] = deque()
        self.is_subscribed = False
        loop.add(fd, self._on_ready)

    @property
    def is_own_user(self) -> bool:
        """Whether the peer runs as the shim's own user; nobody else has any business here."""
        return unixsocket.credentials(self._socket).uid == os.geteuid()  # type: ignore[arg-type]

    def send(self, message: bytes) -> None:
        """Send, or keep until the peer takes it. Never blocks, never raises."""
        if self._fd < 0:
            return
        if self._outbox or not self._try_send(message):
            self._outbox.append(message)
            if len(self._outbox) > MAX_OUTBOX:
                self.close()
            elif len(self._outbox) == 1:
                self._loop.modify(self._fd, READ | WRITE)

    def _try_send(self, message: bytes) -> bool:
        try:
            unixsocket.send(self._socket, message)  # type: ignore[arg-type]
        except BlockingIOError:
            return False
        except OSError:
            self.close()
        return True

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            while self._outbox and self._try_send(self._outbox[0]):
                if self._fd < 0:
                    return
                self._outbox.popleft()
            if not self._outbox:
                self._loop.modify(self._fd, READ)
        if events & ~WRITE:
            self._receive()

    def _receive(self) -> None:
        for _ in range(MAX_BATCH):
            if self._fd < 0:
                return
            try:
                message, fds = unixsocket.recv(self._socket)  # type: ignore[arg-type]
            except BlockingIOError:
                return
            except (EOFError, OSError, ValueError):
                self.close()
                return
            for fd in fds:
                os.close(fd)
            self._on_message(self, message)

    def close(self) -> None:
        """Close it and tell whoever keeps it; idempotent."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            self._fd = -1
            self._socket.close()
            self._outbox.clear()
            self._on_close(self)


class Door:
    """The listening socket: accepts peers of our own user and keeps the list of them."""

    __slots__ = ("_listener", "_loop", "_on_message", "connections")

    def __init__(self, fd: int, loop: Loop, on_message: OnMessage) -> None:
        self._listener = _socket.socket(fileno=fd)
        self._listener.setblocking(False)
        self._loop = loop
        self._on_message = on_message
        self.connections: list[Connection] = []
        loop.add(fd, self._on_ready)

    def _on_ready(self, _events: int) -> None:
        try:
            fd, _ = self._listener._accept()  # type: ignore[attr-defined]
        except OSError:
            # It is gone again, or we are out of descriptors; the next one will tell.
            return
        connection = Connection(fd, self._loop, self._on_message, self._forget)
        self.connections.append(connection)
        if not connection.is_own_user:
            connection.close()
        elif len(self.connections) > MAX_CONNECTIONS:
            self.connections[0].close()

    def _forget(self, connection: Connection) -> None:
        self.connections.remove(connection)
