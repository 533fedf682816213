"""The synchronous channel: one connection, used by any number of threads.

Whoever waits reads for all: a waiting thread that finds no reader becomes it, polls the connection, hands each
answer to its pending call and, when its own has come, leaves the reading to the next. No thread of ours runs in the
background, and a single-threaded program pays nothing for this.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from wharfie import errors
from wharfie.connection import connection_to
from wharfie.session import Frames, Pending, Session, endpoint, expired, unreachable

POLL_MAX_S = 0.5


class Channel:
    """A connection to a daemon. `close` it, or use it as a context manager.

    Args:
        address: path of the socket, or an endpoint; None is WHARFIE_ADDRESS or the default path.
        connect_timeout_s: how long to wait for the daemon's greeting.
        curve: (server public key, own public key, own secret key) for tcp.

    Raises:
        Unavailable: nobody greeted in time.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        connect_timeout_s: float = 5.0,
        curve: tuple[bytes, bytes, bytes] | None = None,
    ) -> None:
        self.address, where = endpoint(address)
        self._pid = os.getpid()
        self._session = Session()
        self._turn = threading.Condition(threading.Lock())
        self._reading = False
        self._connection = connection_to(where, curve=curve)
        self._closed = False
        self.default_snapshotter = ""
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)
        self._polled = (-1, 0)
        try:
            with self._turn:
                self._take_in()
            self._greet(connect_timeout_s)
        except BaseException:
            self.close()
            raise

    def _greet(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        with self._turn:
            while not self._session.epoch:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise unreachable(self.address, timeout_s)
                self._await_news(left_s)

    def connect(self) -> None:
        """Nothing to do: making a channel connects it. Here so that both channels read alike."""

    def call(
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
        return self.finish(pending)

    def begin(
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

    def finish(self, pending: Pending) -> tuple[bytes, list[Any]]:
        """Wait for the answer to what was begun; see `call`."""
        try:
            self._wait_done(pending)
        except BaseException:
            self._take_back(pending)
            raise
        if pending.error is not None:
            raise pending.error
        return pending.value, pending.payload

    def next_item(self, pending: Pending) -> tuple[bytes, list[Any]] | None:
        """The stream's next item, waiting for it; None when it has ended (its result is in `pending.value`).

        Raises:
            WharfieError: what ended the stream instead.
        """
        with self._turn:
            while not pending.items:
                if pending.done:
                    if pending.error is None:
                        return None
                    if not self._again(pending):
                        raise pending.error
                elif pending.deadline_s is not None and time.monotonic() > pending.deadline_s + 1.0:
                    raise expired(pending.header.method, pending.header.deadline_ms / 1000)
                else:
                    self._await_news(POLL_MAX_S)
            item, credit = self._session.take(pending)
            if credit is not None:
                # A credit for a router that is gone means nothing to the next one.
                self._try_send(credit)
            return item

    def drop(self, pending: Pending) -> None:
        """Take back what was begun and may not have ended. Idempotent."""
        if pending.done:
            self._session.close(pending)
        else:
            self._take_back(pending)

    def close(self) -> None:
        """Close the connection; calls under way in other threads fail with `Cancelled`. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._turn:
            if self._closed:
                return
            self._closed = True
            os.write(self._wake_write, b"x")
            while self._reading:
                self._turn.wait(0.1)
            self._turn.notify_all()
            self._connection.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

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
        with self._turn:
            pending = self._session.open(
                method,
                request,
                namespace=namespace,
                now_s=time.monotonic(),
                timeout_s=timeout_s,
                payload=payload,
                key=key,
                lease=lease,
            )
            self._send(pending.frames)
            return pending

    def _take_back(self, pending: Pending) -> None:
        with self._turn:
            frames = self._session.cancel(pending)
            if not self._closed:
                self._try_send(frames)

    def _wait_done(self, pending: Pending) -> None:
        with self._turn:
            while True:
                while not pending.done:
                    left_s = POLL_MAX_S
                    if pending.deadline_s is not None:
                        # The router answers an expired request itself; this is for when there is no router.
                        left_s = min(left_s, pending.deadline_s + 1.0 - time.monotonic())
                        if left_s <= 0:
                            raise expired(pending.header.method, pending.header.deadline_ms / 1000)
                    self._await_news(left_s)
                if pending.error is None or not self._again(pending):
                    self._session.close(pending)
                    return

    def _again(self, pending: Pending) -> bool:
        """Send a call again whose error allows it, after its pause."""
        wait_s = self._session.retry(pending, now_s=time.monotonic())
        if wait_s is None:
            self._session.close(pending)
            return False
        self._turn.wait(wait_s)
        self._send(pending.frames)
        return True

    def _await_news(self, timeout_s: float) -> None:
        """Called with the lock: read once for everybody, or wait for who reads. May return with nothing new."""
        if self._closed:
            raise errors.Cancelled("the client was closed")
        if self._reading:
            self._turn.wait(timeout_s)
            return
        connection = self._connection
        retry_s = connection.retry_s()
        if (connection.edge_triggered or retry_s is not None) and self._take_in():
            self._turn.notify_all()
            return
        if retry_s is not None:
            timeout_s = min(timeout_s, connection.retry_s() or 0.0)
        self._watch()
        self._reading = True
        self._turn.release()
        try:
            ready = self._poll.poll(timeout_s * 1000)
        finally:
            self._turn.acquire()
            self._reading = False
        for fd, _ in ready:
            if fd == self._wake_read and not self._closed:
                os.read(self._wake_read, 4096)
        if not self._closed:
            self._take_in()
        self._turn.notify_all()

    def _watch(self) -> None:
        """Called with the lock: poll for what the connection waits for, on the descriptor that it has now."""
        fd = self._connection.fileno()
        events = select.POLLIN | (select.POLLOUT if self._connection.wants_write() else 0)
        if (fd, events) == self._polled:
            return
        if self._polled[0] not in (-1, fd):
            self._poll.unregister(self._polled[0])
        if fd != -1:
            self._poll.register(fd, events)
        self._polled = (fd, events)

    def _take_in(self) -> int:
        """Called with the lock: hand every message that is there to its call."""
        self._connection.flush()
        messages = self._connection.receive()
        for message in messages:
            _, resend = self._session.receive(message)
            for frames in resend:
                self._send(frames)
        return len(messages)

    def _send(self, frames: Frames) -> None:
        """Called with the lock: send, waiting for a router when there is none at present (it is being restarted)."""
        while not self._try_send(frames):
            if self._closed:
                raise errors.Cancelled("the client was closed")
            pending = self._session.pending_of(frames)
            if pending is not None and pending.deadline_s is not None and time.monotonic() >= pending.deadline_s:
                raise expired(pending.header.method, None)
            if self._reading:
                self._turn.wait(0.002)
            else:
                self._await_news(0.002)

    def _try_send(self, frames: Frames) -> bool:
        connection = self._connection
        if not connection.send(frames):
            return False
        connection.flush()
        # Who polls has to look again: for an edge that the sending has consumed, or for room to write.
        if self._reading and (connection.edge_triggered or connection.wants_write()):
            os.write(self._wake_write, b"x")
        return True
