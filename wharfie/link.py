"""One end of a ZMTP connection over a Unix socket, read and written without ever blocking."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from wharfie.zmtp import LARGE_BYTES, Buffer, Decoder, ZmtpError, encode, greeting, ready

READ_BYTES = 65536
READS_MAX = 16
"""Reads of one turn: a peer that never stops sending does not keep the others waiting."""

VECTOR_MAX = 64
SOCKET_BUFFER_BYTES = 512 << 10
"""More is not faster: what lies there leaves the processor's cache."""

_SO_SNDBUFFORCE = 32


class Closed(Exception):
    """The peer is gone, and what it had sent before was returned; or it does not speak ZMTP."""


class Link:
    """A connected socket (which it owns), its decoder, and what could not be written yet.

    Args:
        sock: connected; becomes non-blocking.
        socket_type: ours, `DEALER` or `ROUTER`.
        identity: ours.
        max_bytes: of a message that the peer may send; 0 is no limit.

    Attributes:
        queued_bytes: waiting to be written.
    """

    def __init__(self, sock: socket.socket, *, socket_type: bytes, identity: bytes = b"", max_bytes: int = 0) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.decoder = Decoder(max_bytes=max_bytes)
        self.queued_bytes = 0
        self._out: deque[Buffer] = deque()
        self._ended = False
        self._ready: bytes = ready(socket_type, identity)
        self._held: list[Buffer] = []
        self._put(greeting())

    def fileno(self) -> int:
        """Of the socket; -1 when it is closed."""
        return self.sock.fileno()

    @property
    def wants_write(self) -> bool:
        """The socket had no room for something; what waits for the peer's greeting is not meant."""
        return bool(self._out)

    def queue(self, frames: Sequence[Any]) -> None:
        """Put a message behind what waits to be written; `flush` writes it. Frames may not change until then."""
        for buffer in encode(frames):
            if self._ready:
                self._held.append(buffer)
                self.queued_bytes += len(buffer)
            else:
                self._put(buffer)

    def _put(self, buffer: Buffer) -> None:
        self._out.append(buffer)
        self.queued_bytes += len(buffer)

    def flush(self) -> bool:
        """Write what the socket takes. Returns whether everything is written; a peer that is gone takes all."""
        out = self._out
        while out:
            first = out[0]
            if len(out) > 1 and len(first) <= LARGE_BYTES:
                first = self._merged()
            try:
                count = self.sock.send(first) if len(out) == 1 else self.sock.sendmsg([first, *self._next()])
            except BlockingIOError:
                return False
            except OSError:
                # Whoever reads learns that the peer is gone; there is nobody to write to.
                out.clear()
                self._held.clear()
                self.queued_bytes = 0
                return True
            self._written(count)
        return True

    def _merged(self) -> Buffer:
        """The small buffers in front as one: a call of the system costs more than copying them."""
        out = self._out
        parts: list[Buffer] = []
        size = 0
        while out and size + len(out[0]) <= LARGE_BYTES:
            parts.append(out[0])
            size += len(out.popleft())
        merged: Buffer = b"".join(parts) if len(parts) != 1 else parts[0]
        out.appendleft(merged)
        return merged

    def _next(self) -> list[Buffer]:
        return [self._out[number] for number in range(1, min(len(self._out), VECTOR_MAX))]

    def _written(self, count: int) -> None:
        out = self._out
        self.queued_bytes -= count
        while count:
            size = len(out[0])
            if count < size:
                out[0] = memoryview(out[0])[count:]
                return
            out.popleft()
            count -= size

    def receive(self) -> list[list[Any]]:
        """The messages that have come in, read for one turn.

        Raises:
            Closed: there will be no more; raised only when this turn has brought no message.
        """
        messages: list[list[Any]] = []
        try:
            for _ in range(READS_MAX):
                if self._ended or not self._read(messages):
                    break
        except (ZmtpError, OSError):
            self._ended = True
        if self._ready and self.decoder.is_greeted:
            self._end_handshake()
        if self.decoder.replies:
            replies, self.decoder.replies = self.decoder.replies, []
            for reply in replies:
                self._put(reply)
            self.flush()
        if self._ended and not messages:
            raise Closed
        return messages

    def _end_handshake(self) -> None:
        """Our part of it, and what was queued meanwhile."""
        self._put(self._ready)
        self._ready = b""
        self._out.extend(self._held)
        self._held.clear()
        self.flush()

    def _read(self, messages: list[list[Any]]) -> bool:
        """Read once. Returns whether there may be more."""
        decoder = self.decoder
        room = decoder.room()
        try:
            if room is not None:
                wanted = len(room)
                count = self.sock.recv_into(room)
                if count:
                    messages += decoder.filled(count)
            else:
                wanted = READ_BYTES
                data = self.sock.recv(READ_BYTES)
                count = len(data)
                if count:
                    messages += decoder.feed(data)
        except BlockingIOError:
            return False
        if not count:
            self._ended = True
        return count == wanted or decoder.room() is not None

    def close(self) -> None:
        """Idempotent. What was written before reaches a peer that reads."""
        self.sock.close()


def widen(sock: socket.socket) -> None:
    """A larger buffer, so that a frame of a megabyte needs few turns; as large as the system lets us.

    Of Unix sockets the sender's counts. Only CAP_NET_ADMIN gets beyond net.core.wmem_max.
    """
    for option in (_SO_SNDBUFFORCE, socket.SO_SNDBUF):
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            return
