"""Messages over Unix SEQPACKET sockets: bytes, with file descriptors beside them.

Used for the supervisor's control channels and the sockets of shims. One message is one packet whose first
byte says where the message is: `0` behind it, `1` in a sealed memory file that is the packet's first
descriptor. The second form is for what is larger than `MAX_INLINE`, because a packet has to fit the socket's
buffer.

`send` and `recv` are for blocking and non-blocking sockets alike: what a non-blocking socket raises
(`BlockingIOError`) is passed through, and nothing has been sent or consumed then. The end of the stream is an
`EOFError`, because an empty message is a legal one.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from linux import memfd

MAX_INLINE = 128 * 1024
"""The largest message in bytes that travels in the packet itself."""
MAX_MESSAGE = 64 * 1024 * 1024
"""The largest message in bytes that `recv` accepts unless told otherwise."""
BUFFER_SIZE = MAX_INLINE + 1
"""The largest packet in bytes."""
MAX_FDS = 32
"""The most descriptors that one message carries (the kernel's own limit is 253)."""
MAX_PATH = 107
"""The longest socket path in bytes: `sun_path` has 108 with the final zero."""

_INLINE = b"\0"
_MEMFD = b"\1"
# Plain integers: arithmetic on `socket`'s enum members takes microseconds and memory at each message.
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_NOSIGNAL = int(socket.MSG_NOSIGNAL)
_TRUNCATED = int(socket.MSG_TRUNC) | int(socket.MSG_CTRUNC)
_ANCILLARY = socket.CMSG_SPACE((MAX_FDS + 1) * 4)
_RIGHTS = (int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS))
_PEERCRED = (int(socket.SOL_SOCKET), int(socket.SO_PEERCRED))
_UCRED = struct.Struct("3i")
_TIMEVAL = struct.Struct("ll")


_Ancillary = list[tuple[int, int, bytes]]


class PeerCredentials(NamedTuple):
    """Who was at the other end when it connected (or made the pair)."""

    pid: int
    uid: int
    gid: int


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets, blocking and close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _checked(path: str) -> str:
    size = len(os.fsencode(path))
    if size > MAX_PATH:
        raise ValueError(f"socket path '{path}' has {size} bytes, at most {MAX_PATH} are possible; use a shorter one")
    return path


def listen(path: str, *, mode: int = 0o600, backlog: int = 128) -> socket.socket:
    """Return a socket that listens at `path`; its file never has wider permissions than `mode`.

    Raises `ValueError` for a path that is too long, `OSError` EADDRINUSE when `path` exists, even as a
    left-over: who owns the path decides whether to unlink it first. Closing the socket leaves the file.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # Linux creates the file with the mode of the unbound socket: no moment with a wider one, no umask
        # games.
        os.fchmod(listener.fileno(), mode)
        listener.bind(_checked(path))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def connect(path: str, *, timeout_s: float) -> socket.socket:
    """Return a blocking socket connected to the listener at `path`.

    Raises `ValueError` for a path that is too long, `TimeoutError` when the listener's queue stays full for
    `timeout_s`, and `OSError` (ENOENT, ECONNREFUSED) when nobody listens.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # A non-blocking connect on a Unix socket fails at once when the queue is full, so settimeout() cannot
        # wait.
        seconds, fraction = divmod(max(timeout_s, 0.000001), 1)
        limit = _TIMEVAL.pack(int(seconds), int(fraction * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        deadline = time.monotonic() + timeout_s
        try:
            connection.connect(_checked(path))
        except BlockingIOError:
            waited = time.monotonic() - deadline + timeout_s
            raise TimeoutError(f"socket '{path}' did not accept within {waited:.3f} s") from None
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.pack(0, 0))
    except BaseException:
        connection.close()
        raise
    return connection


def credentials(sock: socket.socket) -> PeerCredentials:
    """Return the peer's process id, user id and group id."""
    return PeerCredentials(*_UCRED.unpack(sock.getsockopt(*_PEERCRED, _UCRED.size)))


def send(sock: socket.socket, message: bytes, fds: Sequence[int] = ()) -> None:
    """Send one message, whole or not at all; the receiver gets duplicates of `fds`, ours stay open.

    Raises `BlockingIOError` when a non-blocking socket is full, `BrokenPipeError` or `ConnectionResetError`
    when the peer is gone, `ValueError` for more than `MAX_FDS` descriptors.
    """
    if len(message) <= MAX_INLINE:
        if not fds:
            sock.send(_INLINE + message, _NOSIGNAL)
        else:
            _send_with(sock, (_INLINE, message), fds)
        return
    fd = memfd.create_sealed("message", message)
    try:
        _send_with(sock, (_MEMFD,), (fd, *fds))
    finally:
        os.close(fd)


def _send_with(sock: socket.socket, parts: Sequence[bytes], fds: Sequence[int]) -> None:
    if len(fds) > MAX_FDS + (parts[0] == _MEMFD):
        raise ValueError(f"{len(fds)} descriptors in one message, at most {MAX_FDS} are possible")
    sock.sendmsg(parts, [(*_RIGHTS, array.array("i", fds))], _NOSIGNAL)


def recv(sock: socket.socket, *, max_size: int = MAX_MESSAGE) -> tuple[bytes, list[int]]:
    """Return the next message and its descriptors, which are close-on-exec and the caller's to close.

    Raises `EOFError` at the end of the stream, `BlockingIOError` when a non-blocking socket has nothing, and
    `ValueError` for a packet that `send` would not make; its descriptors are closed then.
    """
    packet, ancillary, flags, _ = sock.recvmsg(MAX_INLINE + 1, _ANCILLARY, _CLOEXEC)
    if not ancillary and not flags & _TRUNCATED and packet[:1] == _INLINE:
        return packet[1:], []
    return _unpack(packet, ancillary, flags, limit=max_size)


def recv_into(sock: socket.socket, buffer: bytearray, *, max_size: int = MAX_MESSAGE) -> tuple[bytes, list[int]]:
    """Do as `recv`, with a buffer of the caller's, which has `BUFFER_SIZE` bytes and is free again afterwards.

    For a process that has to be small: the memory for the largest packet is not taken anew for each message.
    """
    size, ancillary, flags, _ = sock.recvmsg_into((buffer,), _ANCILLARY, _CLOEXEC)
    if not ancillary and not flags & _TRUNCATED and size and buffer[0] == 0:
        return bytes(buffer[1:size]), []
    return _unpack(bytes(buffer[:size]), ancillary, flags, limit=max_size)


def _unpack(packet: bytes, ancillary: _Ancillary, flags: int, *, limit: int) -> tuple[bytes, list[int]]:
    fds: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == _RIGHTS:
            fds.extend(array.array("i", data[: len(data) & ~3]))
    try:
        message = _message(packet, fds, truncated=bool(flags & _TRUNCATED), limit=limit)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return message, fds


def _message(packet: bytes, fds: list[int], *, truncated: bool, limit: int) -> bytes:
    if truncated:
        raise ValueError("a packet or its descriptors are larger than the protocol allows")
    marker = packet[:1]
    if not marker:
        raise EOFError("the peer closed the connection")
    if marker == _INLINE:
        return packet[1:]
    if marker != _MEMFD or not fds:
        raise ValueError(f"a packet that begins with {marker!r} and carries {len(fds)} descriptors is no message")
    message = memfd.read_sealed(fds[0], max_size=limit)
    os.close(fds.pop(0))
    return message
