"""One connection to a shim: requests, replies, events, and its end.

SEQPACKET and msgpack (shim/protocol.py). Lives on the worker's loop; a request that a silent shim does not answer
ends with its timeout and costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from linux import unixsocket
from shim import protocol
from wharfie import errors

T = TypeVar("T")


class ShimLink:
    """A connected shim.

    Args:
        sock: connected; owned from now on.
        on_event: told each event, in order.
        on_end: told once when the connection has ended, however.
    """

    def __init__(
        self, sock: socket.socket, *, on_event: Callable[[protocol.Event], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_event = on_event
        self._on_end = on_end
        self._next = 0
        self._pending: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._outbox: deque[bytes] = deque()
        self.closed = False
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(sock.fileno(), self._on_readable)

    async def call(
        self, method: str, body: msgspec.Struct | None, reply: type[T], *, timeout_s: float | None, key: str = ""
    ) -> T:
        """Ask the shim.

        Raises:
            WharfieError: its refusal; `Unavailable` when it is gone; `DeadlineExceeded` when it stays silent.
        """
        if self.closed:
            raise errors.Unavailable("the shim is gone", details={"reason": "shim_gone"})
        self._next += 1
        number = self._next
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        raw = msgspec.Raw(protocol.encode(body)) if body is not None else msgspec.Raw(b"\x80")
        self._send(protocol.encode(protocol.Request(id=number, method=method, key=key, body=raw)))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await future
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"the shim did not answer '{method}' within {timeout_s:g} s", details={"reason": "shim_silent"}
            ) from None
        finally:
            self._pending.pop(number, None)
        return msgspec.msgpack.decode(answer, type=reply)

    def acknowledge(self, container_id: str, seq: int) -> None:
        """All events of a container up to `seq` are stored."""
        if not self.closed:
            self._send(protocol.encode(protocol.Ack(container_id=container_id, seq=seq)))

    def close(self) -> None:
        """Close; what is pending fails with `Unavailable`. Idempotent; `on_end` is not called."""
        if self.closed:
            return
        self.closed = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock.fileno())
        loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for future in self._pending.values():
            if not future.done():
                future.set_exception(errors.Unavailable("the shim is gone", details={"reason": "shim_gone"}))
        self._pending.clear()
        self._ended.set()

    async def ended(self, timeout_s: float) -> None:
        """Wait for the other end to close, as a process does when it ends; no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()

    def _send(self, message: bytes) -> None:
        self._outbox.append(message)
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._outbox:
            try:
                unixsocket.send(self._sock, self._outbox[0])
            except BlockingIOError:
                loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                # The reader sees the end, after what the shim still said.
                self._outbox.clear()
                break
            self._outbox.popleft()
        loop.remove_writer(self._sock.fileno())

    def _on_readable(self) -> None:
        for _ in range(64):
            if self.closed:
                return
            try:
                data, fds = unixsocket.recv(self._sock)
            except BlockingIOError:
                return
            except (EOFError, OSError, ValueError):
                self.close()
                self._on_end()
                return
            for fd in fds:
                os.close(fd)
            with contextlib.suppress(msgspec.MsgspecError):
                self._take(protocol.decode_from_shim.decode(data))

    def _take(self, message: protocol.Reply | protocol.Failure | protocol.Event) -> None:
        if isinstance(message, protocol.Event):
            self._on_event(message)
            return
        future: Any = self._pending.get(message.id)
        if future is None or future.done():
            return
        if isinstance(message, protocol.Failure):
            future.set_exception(
                errors.from_wire({"code": message.code, "message": message.message, "details": message.details})
            )
        else:
            future.set_result(message.body)
