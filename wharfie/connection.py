"""A DEALER's connection to the router: it comes back by itself when the router does.

Two kinds with one face: `UnixConnection` speaks ZMTP itself, `wharfie.dealer.LibzmqConnection` lets libzmq do it (TCP
with CURVE). Neither ever blocks: who uses one polls its descriptor, reads with `receive` and sends with `send`. What
was sent to a router that died is lost; its greeting (`hello`) after the reconnect is the sign to send again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

from wharfie.link import Closed, Link, widen

RECONNECT_FIRST_S = 0.002
RECONNECT_FACTOR = 1.2
"""A dead router is back within some ten milliseconds: about so often it is looked for at first."""

RECONNECT_MAX_S = 0.1

QUEUE_MAX_BYTES = 64 << 20
"""What may wait for a router that does not read; `send` then refuses more."""

MESSAGE_MAX_BYTES = 1 << 30

Curve = tuple[bytes, bytes, bytes]
"""Server's public key, own public key, own secret key."""


class Connection(Protocol):
    """What a channel or a worker needs."""

    edge_triggered: bool
    """The descriptor tells of news once: look with `receive` after every `send`, too."""

    def fileno(self) -> int:
        """To poll for reading; -1 while there is no connection. Changes with each reconnect."""

    def wants_write(self) -> bool:
        """Something waits to be written: poll for writing, then `flush`."""

    def retry_s(self) -> float | None:
        """Seconds until `receive` should be called to connect again; None while connected."""

    def receive(self) -> list[list[Any]]:
        """The messages that are there; connects again when it is time to."""

    def send(self, frames: Sequence[Any]) -> bool:
        """Queue a message, for `flush`. False: there is no router at present, or it does not read: not queued."""

    def flush(self) -> None:
        """Write what waits."""

    def close(self, *, linger_s: float = 0.2) -> None:
        """Write what waits, within `linger_s`, and close. Idempotent."""


class UnixConnection:
    """A connection over a Unix socket.

    Args:
        path: of the router's socket.
        identity: unique among the router's peers, and the same after a reconnect.
    """

    edge_triggered = False

    def __init__(self, path: str, *, identity: bytes) -> None:
        self._path = path
        self._identity = identity
        self._link: Link | None = None
        self._wait_s = RECONNECT_FIRST_S
        self._next_s = 0.0
        self._closed = False

    def fileno(self) -> int:
        """See `Connection`."""
        return -1 if self._link is None else self._link.fileno()

    def wants_write(self) -> bool:
        """See `Connection`."""
        return self._link is not None and self._link.wants_write

    def retry_s(self) -> float | None:
        """See `Connection`."""
        return None if self._link is not None else max(0.0, self._next_s - time.monotonic())

    def receive(self) -> list[list[Any]]:
        """See `Connection`."""
        if self._link is None and not self._connect():
            return []
        assert self._link is not None
        try:
            messages = self._link.receive()
        except Closed:
            self._link.close()
            self._link = None
            # At once when this was a good connection; else like one that was refused.
            self._next_s = time.monotonic()
            if self._wait_s > RECONNECT_FIRST_S:
                self._pause()
            self._wait_s = max(self._wait_s, RECONNECT_FACTOR * RECONNECT_FIRST_S)
            return []
        if messages:
            self._wait_s = RECONNECT_FIRST_S
        return messages

    def send(self, frames: Sequence[Any]) -> bool:
        """See `Connection`."""
        link = self._link
        if link is None or link.queued_bytes > QUEUE_MAX_BYTES:
            return False
        link.queue(frames)
        return True

    def flush(self) -> None:
        """See `Connection`."""
        if self._link is not None:
            self._link.flush()

    def close(self, *, linger_s: float = 0.2) -> None:
        """See `Connection`."""
        self._closed = True
        link, self._link = self._link, None
        if link is None:
            return
        if not link.flush():
            link.sock.settimeout(linger_s)
            link.flush()
        link.close()

    def _pause(self) -> None:
        self._next_s = time.monotonic() + self._wait_s
        self._wait_s = min(self._wait_s * RECONNECT_FACTOR, RECONNECT_MAX_S)

    def _connect(self) -> bool:
        """Connect when it is time to; the router's greeting tells that somebody is there."""
        if self._closed or time.monotonic() < self._next_s:
            return False
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            widen(sock)
            sock.connect(self._path)
        except OSError:
            # Not there, nobody listens, or its queue is full: all of that may pass.
            sock.close()
            self._pause()
            return False
        self._link = Link(sock, socket_type=b"DEALER", identity=self._identity, max_bytes=MESSAGE_MAX_BYTES)
        # The empty message that a DEALER with PROBE_ROUTER sends: the router greets who announces himself.
        self._link.queue([b""])
        self._link.flush()
        return True


def connection_to(where: str, *, identity: bytes = b"", curve: Curve | None = None) -> Connection:
    """The connection to an endpoint, `ipc://PATH` or any other that libzmq knows; not connected yet."""
    identity = identity or b"c" + os.urandom(15)
    if where.startswith("ipc://") and not where.startswith("ipc://@"):
        return UnixConnection(where.removeprefix("ipc://"), identity=identity)
    from wharfie.dealer import LibzmqConnection

    return LibzmqConnection(where, identity=identity, curve=curve)
