"""Requests that a worker makes of other workers, and their answers.

The router forgets them when it dies; its `hello` after the worker's reconnect names a new epoch, and what is pending
is then sent again with the same id and key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from wharfie import errors, protocol
from wharfie.protocol import MAGIC, Header, Routed

T = TypeVar("T")


class _Pending(NamedTuple):
    future: asyncio.Future[Any]
    reply: type[Any]
    frames: list[Any]
    method: str


class OutCalls:
    """The table of a worker's own pending requests.

    Args:
        post: queues frames for the router.
    """

    def __init__(self, post: Callable[[list[Any]], None]) -> None:
        self._post = post
        self._next = 0
        self._pending: dict[int, _Pending] = {}

    async def call(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        namespace: str,
        key: str,
        lease: str,
        timeout_s: float | None,
        payload: Sequence[bytes | memoryview],
    ) -> T:
        """Send and await; see `Worker.call`."""
        self._next += 1
        number = self._next
        header = Header(
            id=number,
            method=method,
            namespace=namespace,
            key=key,
            lease=lease,
            deadline_ms=int(timeout_s * 1000) if timeout_s else 0,
        )
        frames = [MAGIC, protocol.encode(header), protocol.encode(request), *payload]
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending[number] = _Pending(future, reply, frames, method)
        self._post(frames)
        try:
            if timeout_s is None:
                return await future
            # The router answers an expired request itself; this is the second net, for when there is no router.
            async with asyncio.timeout(timeout_s + 1.0):
                return await future
        except TimeoutError:
            raise errors.DeadlineExceeded(f"no answer to '{method}' within {timeout_s:g} s", retryable=True) from None
        except asyncio.CancelledError:
            self._post([MAGIC, protocol.encode(Header(id=number, kind="cancel"))])
            raise
        finally:
            self._pending.pop(number, None)

    def on_answer(self, header: Routed, frames: list[Any]) -> None:
        """A reply, an error or the router's hello."""
        if header.kind == "hello":
            for pending in self._pending.values():
                self._post(pending.frames)
            return
        pending_ = self._pending.get(header.id)
        if pending_ is None or pending_.future.done():
            return
        body = frames[2] if len(frames) > 2 else b"\x80"
        if header.kind == "error":
            pending_.future.set_exception(errors.from_wire(msgspec.msgpack.decode(body)))
        elif header.kind == "reply":
            try:
                pending_.future.set_result(protocol.decoder(pending_.reply).decode(body))
            except msgspec.MsgspecError as error:
                pending_.future.set_exception(
                    errors.Internal(f"reply of '{pending_.method}' does not fit {pending_.reply.__name__}: {error}")
                )
