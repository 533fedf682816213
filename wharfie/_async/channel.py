"""The asynchronous channel: one connection on an asyncio loop, without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from wharfie import errors
from wharfie.carrier import Carrier
from wharfie.connection import connection_to
from wharfie.session import Frames, Pending, Session, endpoint, expired, unreachable


class Channel:
    """A connection to a daemon, used from one loop. `await connect()` first, `await close()` at last.

    Args:
        address: path of the socket, or an endpoint; None is WHARFIE_ADDRESS or the default path.
        connect_timeout_s: how long to wait for the daemon's greeting.
        curve: (server public key, own public key, own secret key) for tcp.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        connect_timeout_s: float = 5.0,
        curve: tuple[bytes, bytes, bytes] | None = None,
    ) -> None:
        self.address, self._where = endpoint(address)
        self._connect_timeout_s = connect_timeout_s
        self._curve = curve
        self._session = Session()
        self._closed = False
        self.default_snapshotter = ""
        self._carrier: Carrier | None = None
        self._greeted = asyncio.Event()

    async def connect(self) -> None:
        """Connect and wait for the daemon's greeting. Idempotent.

        Raises:
            Unavailable: nobody greeted in time.
        """
        if self._carrier is not None:
            return
        self._carrier = Carrier(connection_to(self._where, curve=self._curve), self._on_messages)
        self._carrier.start()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._greeted.wait()
        except TimeoutError:
            await self.close()
            raise unreachable(self.address, self._connect_timeout_s) from None

    async def call(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        namespace: str = "",
        timeout_s: float | None = None,
        payload: Sequence[Any] = (),
        key: str = "",
        lease: str = "",
    ) -> tuple[bytes, list[Any]]:
        """Ask and wait for the answer's body and payload; survives deaths on the other side.

        Raises:
            WharfieError: what was answered; `DeadlineExceeded` when the time was up.
        """
        pending = self._open(
            method, request, namespace=namespace, timeout_s=timeout_s, payload=payload, key=key, lease=lease
        )
        return await self.finish(pending)

    async def begin(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        namespace: str = "",
        timeout_s: float | None = None,
        payload: Sequence[Any] = (),
        key: str = "",
        lease: str = "",
    ) -> Pending:
        """Ask without waiting: take the answer with `finish`, a stream's items with `next_item`, or `drop` the call."""
        return self._open(
            method, request, namespace=namespace, timeout_s=timeout_s, payload=payload, key=key, lease=lease
        )

    async def finish(self, pending: Pending) -> tuple[bytes, list[Any]]:
        """Wait for the answer to what was begun; see `call`."""
        try:
            while True:
                await self._wait(pending)
                if pending.error is None:
                    return pending.value, pending.payload
                if not await self._again(pending):
                    raise pending.error
        finally:
            if not pending.done and not self._closed:
                self._send(self._session.cancel(pending))
            self._session.close(pending)

    async def next_item(self, pending: Pending) -> tuple[bytes, list[Any]] | None:
        """The stream's next item, waiting for it; None when it has ended (its result is in `pending.value`).

        Raises:
            WharfieError: what ended the stream instead.
        """
        while not pending.items:
            if not pending.done:
                await self._wait(pending)
            elif pending.error is None:
                return None
            elif not await self._again(pending):
                raise pending.error
        item, credit = self._session.take(pending)
        if credit is not None:
            self._send(credit)
        return item

    async def drop(self, pending: Pending) -> None:
        """Take back what was begun and may not have ended. Idempotent."""
        if not pending.done and not self._closed:
            self._send(self._session.cancel(pending))
        self._session.close(pending)

    async def close(self) -> None:
        """Close the connection; calls under way fail with `Cancelled`. Idempotent."""
        if self._closed or self._carrier is None:
            self._closed = True
            return
        self._closed = True
        for pending in self._session.all():
            _wake(pending)
        self._carrier.stop()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _open(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        namespace: str,
        timeout_s: float | None,
        payload: Sequence[Any] = (),
        key: str = "",
        lease: str = "",
    ) -> Pending:
        if self._closed or self._carrier is None:
            raise errors.Cancelled("the client is not connected")
        now_s = asyncio.get_running_loop().time()
        pending = self._session.open(
            method,
            request,
            namespace=namespace,
            now_s=now_s,
            timeout_s=timeout_s,
            payload=payload,
            key=key,
            lease=lease,
        )
        self._send(pending.frames)
        return pending

    async def _wait(self, pending: Pending) -> None:
        """Until something came for a call, or its time is up."""
        if pending.done or pending.items:
            return
        if self._closed:
            raise errors.Cancelled("the client was closed")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        pending.owner = future
        timer = None
        if pending.deadline_s is not None:
            # The router answers an expired request itself; this is for when there is no router.
            timer = loop.call_at(pending.deadline_s + 1.0, _wake, pending)
        try:
            await future
        finally:
            pending.owner = None
            if timer is not None:
                timer.cancel()
        if self._closed and not pending.done:
            raise errors.Cancelled("the client was closed")
        late = pending.deadline_s is not None and loop.time() >= pending.deadline_s + 1.0
        if late and not pending.done and not pending.items:
            raise expired(pending.header.method, pending.header.deadline_ms / 1000)

    async def _again(self, pending: Pending) -> bool:
        wait_s = self._session.retry(pending, now_s=asyncio.get_running_loop().time())
        if wait_s is None:
            return False
        await asyncio.sleep(wait_s)
        self._send(pending.frames)
        return True

    def _on_messages(self, messages: list[list[Any]]) -> None:
        assert self._carrier is not None
        for message in messages:
            pending, resend = self._session.receive(message)
            if pending is not None:
                _wake(pending)
            else:
                # A new router's greeting ends the streams that began with the one before it.
                for ended in self._session.ended():
                    _wake(ended)
            for frames in resend:
                self._carrier.post(frames)
        if self._session.epoch:
            self._greeted.set()

    def _send(self, frames: Frames) -> None:
        if self._carrier is not None and not self._closed:
            self._carrier.post(frames)
            self._carrier.flush()


def _wake(pending: Pending) -> None:
    future = pending.owner
    if future is not None and not future.done():
        future.set_result(None)
