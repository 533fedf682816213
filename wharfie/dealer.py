"""A connection that libzmq keeps up: to a router at a distance, over TCP with CURVE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq

from wharfie.zmtp import LARGE_BYTES


class LibzmqConnection:
    """See `wharfie.connection.Connection`. libzmq reconnects by itself, in a thread of its own.

    Args:
        where: the endpoint.
        identity: as there.
        curve: server's public key, own public key, own secret key.
    """

    edge_triggered = True

    def __init__(self, where: str, *, identity: bytes, curve: tuple[bytes, bytes, bytes] | None = None) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._closed = False
        socket = self._socket
        socket.setsockopt(zmq.ROUTING_ID, identity)
        # Announce ourselves after each reconnect; without IMMEDIATE the probe is sent only once.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.PROBE_ROUTER, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, 5)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        if curve is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, curve[0])
            socket.setsockopt(zmq.CURVE_PUBLICKEY, curve[1])
            socket.setsockopt(zmq.CURVE_SECRETKEY, curve[2])
        socket.connect(where)

    def fileno(self) -> int:
        """See `Connection`."""
        if self._closed:
            return -1
        fd = self._socket.getsockopt(zmq.FD)
        assert isinstance(fd, int)
        return fd

    def wants_write(self) -> bool:
        """Libzmq writes by itself."""
        return False

    def retry_s(self) -> float | None:
        """Libzmq connects again by itself."""
        return None

    def receive(self) -> list[list[Any]]:
        """See `Connection`."""
        messages: list[list[Any]] = []
        while not self._closed and self._is_readable():
            frames: list[Any] = [self._socket.recv(zmq.NOBLOCK)]
            while self._socket.getsockopt(zmq.RCVMORE):
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
                frames.append(frame.buffer if len(frame) > LARGE_BYTES and len(frames) > 2 else frame.bytes)
            messages.append(frames)
        return messages

    def _is_readable(self) -> bool:
        events = self._socket.getsockopt(zmq.EVENTS)
        assert isinstance(events, int)
        return bool(events & zmq.POLLIN)

    def send(self, frames: Sequence[Any]) -> bool:
        """See `Connection`."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=len(frames) < 4)
        except zmq.Again:
            return False
        return True

    def flush(self) -> None:
        """Libzmq writes by itself."""

    def close(self, *, linger_s: float = 0.2) -> None:
        """See `Connection`."""
        if not self._closed:
            self._closed = True
            self._context.destroy(linger=int(linger_s * 1000))
