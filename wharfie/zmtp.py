"""ZMTP 3.1, ZeroMQ's protocol, as bytes: the greeting, the handshake of the NULL mechanism, and messages. Pure.

On a local socket the daemon and its clients speak it themselves: libzmq hands every message through a thread of its own
at both ends, and on a machine of few cores that costs more than the work (docs/adr/0008). Any ZeroMQ library
understands the other end. What is not on a local socket (TCP with CURVE) goes through libzmq.

Source: ZeroMQ RFC 23 and 37.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Buffer = bytes | bytearray | memoryview

GREETING_BYTES = 64
LARGE_BYTES = 65536
"""A frame above this is received into a buffer of its own and sent from where it lies; smaller ones are copied."""

MAX_FRAMES = 256
"""Frames of one message; whoever sends more does not speak our protocol."""

MAX_COMMAND_BYTES = 4096

_MORE = 1
_LONG = 2
_COMMAND = 4

_MORE_HEADS = [bytes((_MORE, size)) for size in range(256)]
_LAST_HEADS = [bytes((0, size)) for size in range(256)]

_PEERS = frozenset({b"DEALER", b"REQ", b"ROUTER"})


class ZmtpError(Exception):
    """The peer does not speak ZMTP, or says more than it may: the connection cannot go on."""


def greeting() -> bytes:
    """The first 64 bytes of either side: signature, version 3.1, mechanism NULL."""
    return b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def check_greeting(data: Buffer) -> None:
    """Refuse a peer that is not ZMTP 3 with NULL.

    Args:
        data: what has come so far, at most 64 bytes.

    Raises:
        ZmtpError: it can never become a greeting that we know.
    """
    if data[:1] not in (b"", b"\xff") or (len(data) > 9 and data[9] & 0x7F != 0x7F):
        raise ZmtpError("no ZeroMQ peer")
    if len(data) > 10 and data[10] < 3:
        raise ZmtpError(f"the peer speaks ZMTP {data[10]}, 3 is needed")
    if len(data) >= 32 and bytes(data[12:32]).rstrip(b"\0") != b"NULL":
        raise ZmtpError("the peer asks for another mechanism than NULL")


def ready(socket_type: bytes, identity: bytes = b"") -> bytes:
    """The command that ends a side's handshake."""
    body = b"\x05READY" + _property(b"Socket-Type", socket_type) + _property(b"Identity", identity)
    return bytes((_COMMAND, len(body))) + body


def pong(context: Buffer) -> bytes:
    """The answer to a PING."""
    body = b"\x04PONG" + bytes(context[:16])
    return bytes((_COMMAND, len(body))) + body


def _property(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value


def properties(body: Buffer) -> dict[bytes, bytes]:
    """The properties of a READY command, names in lower case.

    Raises:
        ZmtpError: cut short.
    """
    found: dict[bytes, bytes] = {}
    data = bytes(body)
    place = 0
    while place < len(data):
        name_end = place + 1 + data[place]
        value_start = name_end + 4
        value_end = value_start + int.from_bytes(data[name_end:value_start], "big")
        if value_end > len(data):
            raise ZmtpError("a property of the handshake is cut short")
        found[data[place + 1 : name_end].lower()] = data[value_start:value_end]
        place = value_end
    return found


def encode(frames: Sequence[Any]) -> list[Buffer]:
    """A message as buffers to be written one after the other; small frames are joined, large ones not copied."""
    buffers: list[Buffer] = []
    small: list[Buffer] = []
    last = len(frames) - 1
    for number, frame in enumerate(frames):
        size = len(frame)
        if size < 256:
            small.append(_MORE_HEADS[size] if number < last else _LAST_HEADS[size])
        else:
            small.append(bytes((_LONG | _MORE if number < last else _LONG,)) + size.to_bytes(8, "big"))
        if size > LARGE_BYTES:
            buffers.append(b"".join(small))
            buffers.append(frame)
            small = []
        else:
            small.append(frame)
    if small:
        buffers.append(b"".join(small))
    return buffers


class Decoder:
    """What a peer sends, as messages; commands are answered or taken note of on the way.

    Args:
        max_bytes: of all frames of a message together; 0 is no limit.

    Attributes:
        is_greeted: the peer's greeting has come: it may be sent READY (libzmq hears nothing that comes before).
        is_ready: the peer's handshake has ended.
        identity: what the peer calls itself; maybe empty.
        replies: bytes that have to be sent to the peer because of what it sent.
    """

    def __init__(self, *, max_bytes: int = 0) -> None:
        self.is_ready = False
        self.identity = b""
        self.replies: list[bytes] = []
        self._max_bytes = max_bytes
        self.is_greeted = False
        self._rest = b""
        self._frames: list[Any] = []
        self._bytes = 0
        self._large: bytearray | None = None
        self._have = 0
        self._more = False

    def room(self) -> memoryview | None:
        """Where the next bytes belong, while a large frame is coming in; give their number to `filled`."""
        return None if self._large is None else memoryview(self._large)[self._have :]

    def filled(self, count: int) -> list[list[Any]]:
        """So many bytes were put into `room`. Returns the message that they complete, if they do."""
        assert self._large is not None
        self._have += count
        if self._have < len(self._large):
            return []
        frame, self._large = self._large, None
        messages: list[list[Any]] = []
        self._add(frame, self._more, messages)
        return messages

    def feed(self, data: bytes) -> list[list[Any]]:
        """Take in bytes (never while there is `room`). Returns the messages that are complete with them.

        Raises:
            ZmtpError: the connection has to end.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        place = 0
        if not self.is_greeted:
            check_greeting(data[:GREETING_BYTES])
            if len(data) < GREETING_BYTES:
                self._rest = data
                return []
            self.is_greeted = True
            place = GREETING_BYTES
        messages: list[list[Any]] = []
        end = len(data)
        while place + 2 <= end:
            flags = data[place]
            if flags & _LONG:
                start = place + 9
                if start > end:
                    break
                size = int.from_bytes(data[place + 1 : start], "big")
            else:
                start = place + 2
                size = data[place + 1]
            stop = start + size
            if stop > end:
                if size > LARGE_BYTES or flags & _COMMAND:
                    self._check_size(flags, size)
                if size > LARGE_BYTES:
                    self._large = bytearray(size)
                    self._large[: end - start] = data[start:]
                    self._have, self._more = end - start, bool(flags & _MORE)
                    return messages
                break
            if flags & _COMMAND:
                self._check_size(flags, size)
                self._on_command(data[start:stop])
            else:
                if not self.is_ready:
                    raise ZmtpError("a message before the handshake")
                self._add(data[start:stop], flags & _MORE, messages)
            place = stop
        self._rest = data[place:]
        return messages

    def _check_size(self, flags: int, size: int) -> None:
        """Before memory is set aside for it."""
        if flags & _COMMAND:
            if size > MAX_COMMAND_BYTES:
                raise ZmtpError(f"a command of {size} bytes")
        elif not self.is_ready:
            raise ZmtpError("a message before the handshake")
        elif self._max_bytes and self._bytes + size > self._max_bytes:
            raise ZmtpError(f"a message of more than {self._max_bytes} bytes")

    def _add(self, frame: Any, more: int, messages: list[list[Any]]) -> None:
        frames = self._frames
        frames.append(frame)
        if not more:
            messages.append(frames)
            self._frames, self._bytes = [], 0
            return
        self._bytes += len(frame)
        if len(frames) >= MAX_FRAMES or (self._max_bytes and self._bytes > self._max_bytes):
            raise ZmtpError("a message of too many frames or bytes")

    def _on_command(self, body: bytes) -> None:
        name = body[1 : 1 + body[0]] if body else b""
        data = body[1 + len(name) :]
        if name == b"READY" and not self.is_ready:
            found = properties(data)
            if found.get(b"socket-type") not in _PEERS:
                raise ZmtpError(f"a socket of type {found.get(b'socket-type', b'')[:16]!r} cannot be served")
            self.identity = found.get(b"identity", b"")
            if len(self.identity) > 255:
                raise ZmtpError("an identity of more than 255 bytes")
            self.is_ready = True
        elif name == b"PING":
            self.replies.append(pong(data[2:]))
        elif name == b"ERROR":
            raise ZmtpError("the peer ended the handshake with an error")
