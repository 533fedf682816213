"""The client's half of the protocol without its socket: ids, keys, what is pending, retries and credits. Pure.

`Session` turns calls into frames and frames into results; a channel (`wharfie/_sync/channel.py`,
`wharfie/_async/channel.py`) moves the frames. The same session serves both, so the rules of docs/protocol.md stand
in one place:

- a `hello` with a new epoch means that a router died: everything pending is sent again with its id and key;
- an error that is `retryable` is tried again while the caller's time lasts, with the same key;
- a stream grants credits as its items are taken, and begins again at its cursor.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from wharfie import errors, protocol
from wharfie.methods import METHODS, Mode
from wharfie.protocol import MAGIC, Header

Frames = list[Any]

WINDOW = 64
"""Items that a stream may have on their way or untaken."""

WINDOWS = {"content.read": 16}
"""The same of streams whose items are large: what they hold of a slow reader's memory is bounded."""

RETRY_FIRST_S = 0.005
RETRY_MAX_S = 0.25


class Pending:
    """One call under way.

    Attributes:
        frames: as they were sent, for sending again.
        deadline_s: on the caller's monotonic clock; None is no limit.
        items: of a stream, not taken yet: (body, payload frames).
        done: answered for good, by `value` (body bytes) or `error`.
        owner: the channel's own hook to wake who waits.
    """

    __slots__ = (
        "begun",
        "deadline_s",
        "done",
        "error",
        "frames",
        "header",
        "items",
        "owner",
        "payload",
        "retry_s",
        "taken",
        "value",
    )

    def __init__(self, header: Header, frames: Frames, deadline_s: float | None) -> None:
        self.header = header
        self.frames = frames
        self.deadline_s = deadline_s
        self.items: deque[tuple[bytes, list[Any]]] = deque()
        self.taken = 0
        self.begun = False
        self.done = False
        self.value: bytes = b""
        self.payload: list[Any] = []
        self.error: errors.WharfieError | None = None
        self.retry_s = RETRY_FIRST_S
        self.owner: Any = None


class Session:
    """Everything pending between a client and the daemon."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._prefix = os.urandom(9).hex()
        self._pending: dict[int, Pending] = {}
        self.epoch = ""

    def __len__(self) -> int:
        return len(self._pending)

    def open(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        namespace: str,
        now_s: float,
        timeout_s: float | None,
        payload: Sequence[Any] = (),
        key: str = "",
        lease: str = "",
    ) -> Pending:
        """A new call; send its `frames`. A mutating call without a key gets one of ours.

        Args:
            method: of the wire.
            request: its body.
            namespace: of the header; empty for methods that have none.
            now_s: the caller's monotonic clock.
            timeout_s: for the whole call, retries included; None is no limit.
            payload: raw frames after the body.
            key: the caller's own idempotency key.
            lease: holds what the call creates.
        """
        number = next(self._ids)
        rule = METHODS.get(method)
        stream = rule is not None and rule.mode is Mode.STREAM
        if not key and rule is not None and rule.mode is not Mode.READ:
            key = f"{self._prefix}-{number}"
        header = Header(
            id=number,
            method=method,
            namespace=namespace,
            deadline_ms=_milliseconds(timeout_s),
            key=key,
            lease=lease,
            credits=WINDOWS.get(method, WINDOW) if stream else 0,
        )
        frames: Frames = [MAGIC, protocol.encode(header), protocol.encode(request), *payload]
        pending = Pending(header, frames, None if timeout_s is None else now_s + timeout_s)
        self._pending[number] = pending
        return pending

    def close(self, pending: Pending) -> None:
        """Forget a call; a late answer to it is dropped. Idempotent."""
        self._pending.pop(pending.header.id, None)

    def all(self) -> list[Pending]:
        """Every call that is pending."""
        return list(self._pending.values())

    def pending_of(self, frames: Frames) -> Pending | None:
        """The call that these frames open, while it is pending."""
        if len(frames) < 3:
            return None
        return next((pending for pending in self._pending.values() if pending.frames is frames), None)

    def ended(self) -> list[Pending]:
        """The calls that have their answer and whose callers have not taken it yet."""
        return [pending for pending in self._pending.values() if pending.done]

    def cancel(self, pending: Pending) -> Frames:
        """Take a call back; send what this returns."""
        self.close(pending)
        return [MAGIC, protocol.encode(Header(id=pending.header.id, kind="cancel"))]

    def receive(self, frames: Frames) -> tuple[Pending | None, list[Frames]]:
        """One message from the router: whose it is, and what is to be sent because of it.

        Malformed messages and answers to nobody are dropped.
        """
        if len(frames) < 2 or frames[0] != MAGIC:
            return None, []
        try:
            header = protocol.decode_header(frames[1])
        except (msgspec.MsgspecError, RecursionError):
            return None, []
        if header.kind == "hello":
            return None, self._hello(header.epoch)
        pending = self._pending.get(header.id)
        if pending is None:
            return None, []
        body: bytes = frames[2] if len(frames) > 2 else b"\x80"
        if header.kind == "item":
            pending.items.append((body, frames[3:]))
            pending.begun = True
            pending.retry_s = RETRY_FIRST_S
        elif header.kind == "error":
            try:
                pending.error = errors.from_wire(msgspec.msgpack.decode(body))
            except (msgspec.MsgspecError, RecursionError):
                pending.error = errors.Internal("the daemon answered with an error that cannot be read")
            pending.done = True
        else:
            pending.value = body
            pending.payload = frames[3:]
            pending.done = True
        return pending, []

    def _hello(self, epoch: str) -> list[Frames]:
        known, self.epoch = self.epoch, epoch
        if not known or known == epoch:
            return []
        again: list[Frames] = []
        for pending in self._pending.values():
            if pending.done:
                continue
            if pending.header.credits and pending.begun:
                # Its reader alone knows from where to go on.
                pending.error = errors.Unavailable(
                    "the router was restarted in the middle of the stream", details={"resume": True}, retryable=True
                )
                pending.done = True
            else:
                again.append(pending.frames)
        return again

    def take(self, pending: Pending) -> tuple[tuple[bytes, list[Any]], Frames | None]:
        """The next item of a stream, and the credit to send when half the window has been taken."""
        item = pending.items.popleft()
        pending.taken += 1
        if pending.taken < pending.header.credits // 2:
            return item, None
        granted, pending.taken = pending.taken, 0
        return item, [MAGIC, protocol.encode(Header(id=pending.header.id, kind="credit", credits=granted))]

    def retry(self, pending: Pending, *, now_s: float) -> float | None:
        """Whether an error is to be tried again, and after how many seconds; the call is then pending again.

        Send `frames` after that time. None: the error stands.
        """
        error = pending.error
        if error is None or not error.retryable or pending.items:
            return None
        rule = METHODS.get(pending.header.method)
        if error.details.get("resume") and rule is not None and rule.mode is Mode.STREAM:
            # Who reads the stream knows its cursor; sending the first request again would repeat items.
            return None
        wait_s = pending.retry_s
        if pending.deadline_s is not None and now_s + wait_s >= pending.deadline_s:
            return None
        pending.retry_s = min(wait_s * 2, RETRY_MAX_S)
        pending.error = None
        pending.done = False
        if pending.deadline_s is not None:
            left_s = pending.deadline_s - now_s - wait_s
            header = msgspec.structs.replace(pending.header, deadline_ms=_milliseconds(left_s))
            pending.header = header
            pending.frames = [MAGIC, protocol.encode(header), *pending.frames[2:]]
        return wait_s


def _milliseconds(timeout_s: float | None) -> int:
    return 0 if timeout_s is None else max(1, int(timeout_s * 1000))


def expired(method: str, timeout_s: float | None) -> errors.DeadlineExceeded:
    """The error of a caller's own time being up, with no answer from anybody."""
    return errors.DeadlineExceeded(
        f"no answer to '{method}' within {timeout_s:g} s; is the daemon running?", retryable=True, maybe_done=True
    )


def unreachable(address: str, timeout_s: float) -> errors.Unavailable:
    """The error of a daemon that does not greet."""
    return errors.Unavailable(
        f"no daemon answers at '{address}' within {timeout_s:g} s; start it with 'wharfied', or name another socket"
        " with --address or WHARFIE_ADDRESS",
        details={"reason": "no_daemon", "address": address},
        retryable=True,
    )


DEFAULT_ADDRESS = "/run/wharfie/wharfie.sock"


def endpoint(address: str | None) -> tuple[str, str]:
    """The address to show and the ZeroMQ endpoint of it: a path, `ipc://…` or `tcp://…`; None: from the environment."""
    address = address or os.environ.get("WHARFIE_ADDRESS") or DEFAULT_ADDRESS
    if "://" in address:
        return address, address
    return address, f"ipc://{address}"
