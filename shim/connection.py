"""A connection of the runtime worker to the shim, and the door that lets it in.

Nothing here blocks: what a slow peer does not take is kept, and a peer that takes nothing for too long is dropped; it
comes back and gets the events again.
"""

from __future__ import annotations

from _socket import socket as RawSocket  # noqa: N812
from collections.abc import Callable
from os import close as close_fd
from os import geteuid
from typing import Any

from linux.unixsocket import BUFFER_SIZE, credentials, recv_into, send
from shim.loop import READ, WRITE, Loop

MAX_CONNECTIONS = 8
"""One daemon needs one; more are old ones that are not quite dead."""

MAX_OUTBOX = 1024
"""Messages kept for a peer that does not read."""

MAX_BATCH = 16
"""Messages taken from one peer before others have their turn."""

_BUFFER = bytearray(BUFFER_SIZE)
"""Made in the supervisor: of all its pages a shim owns only those that a message has been written to."""

OnMessage = Callable[["Connection", bytes], None]


class Connection:
    """One peer. `is_subscribed`: events are sent to it."""

    __slots__ = ("_door", "_fd", "_loop", "_outbox", "_socket", "is_subscribed")

    def __init__(self, fd: int, loop: Loop, door: Door) -> None:
        # The bare type of the C module: `socket.socket` turns each of its properties into an enum.
        self._socket: Any = RawSocket(fileno=fd)
        self._socket.setblocking(False)
        self._fd = fd
        self._loop = loop
        self._door = door
        self._outbox: list[bytes] = []
        self.is_subscribed = False
        loop.add(fd, self._on_ready)

    def is_own_user(self) -> bool:
        """Whether the peer runs as the shim's own user; nobody else has any business here."""
        return credentials(self._socket)[1] == geteuid()

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
            send(self._socket, message)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
        return True

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._drain()
        if events & ~WRITE:
            self._receive()

    def _drain(self) -> None:
        while self._outbox and self._try_send(self._outbox[0]):
            if self._fd < 0:
                return
            del self._outbox[0]
        if not self._outbox:
            self._loop.modify(self._fd, READ)

    def _receive(self) -> None:
        for _ in range(MAX_BATCH):
            if self._fd < 0:
                return
            try:
                message, fds = recv_into(self._socket, _BUFFER)
            except BlockingIOError:
                return
            except (EOFError, OSError, ValueError):
                self.close()
                return
            for fd in fds:
                close_fd(fd)
            self._door.on_message(self, message)

    def close(self) -> None:
        """Close it and have the door forget it; idempotent."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            self._fd = -1
            self._socket.close()
            self._outbox.clear()
            self._door.forget(self)


class Door:
    """The listening socket: accepts peers of our own user and keeps the list of them."""

    __slots__ = ("_listener", "_loop", "_on_empty", "connections", "on_message")

    def __init__(self, fd: int, loop: Loop, on_message: OnMessage, on_empty: Callable[[], None]) -> None:
        self._listener: Any = RawSocket(fileno=fd)
        self._listener.setblocking(False)
        self._loop = loop
        self.on_message = on_message
        self._on_empty = on_empty
        self.connections: list[Connection] = []
        loop.add(fd, self._on_ready)

    def _on_ready(self, _events: int) -> None:
        try:
            fd = self._listener._accept()[0]
        except OSError:
            # It is gone again, or we are out of descriptors; the next one will tell.
            return
        connection = Connection(fd, self._loop, self)
        self.connections.append(connection)
        if not connection.is_own_user():
            connection.close()
        elif len(self.connections) > MAX_CONNECTIONS:
            self.connections[0].close()

    def forget(self, connection: Connection) -> None:
        """A connection has closed itself."""
        self.connections.remove(connection)
        if not self.connections:
            self._on_empty()

    def close(self) -> None:
        """Close the listener and every connection."""
        for connection in self.connections[:]:
            connection.close()
        self._loop.remove(self._listener.fileno())
        self._listener.close()
