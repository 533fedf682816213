"""The router's sockets: opened once, read and written without ever blocking.

`front` (ipc, public), `tcp` (only with CURVE keys), `back` (ipc, in a directory of mode 0700, for the workers) and
`zap` (who may connect over tcp). On ipc libzmq tells the peer's uid, gid and pid with every message (`Peer-Address`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import zmq

from wharfie.protocol import COPY_THRESHOLD_BYTES

if TYPE_CHECKING:
    from config.settings import Settings

SNDHWM = 1000
HARD_LIMIT_FACTOR = 4
"""Frames above this many times the limit end the connection; up to it the refusal is a typed error."""

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"wharfie"


class Sockets:
    """All sockets of the router; `close` leaves no file behind that this router made."""

    def __init__(self, settings: Settings, *, backend: str) -> None:
        self._context = zmq.Context(io_threads=1)
        self.front = self._router(settings.router.max_message_bytes * HARD_LIMIT_FACTOR)
        self.back = self._router(-1)
        self.tcp: zmq.Socket[bytes] | None = None
        self.zap: zmq.Socket[bytes] | None = None
        self.allowed: frozenset[str] = frozenset()
        # A new worker of a name has a new routing id (its generation), so no id is ever handed over.
        self._bind(self.back, backend, mode=0o600, uid=-1, gid=-1)
        self._settings = settings

    def open_public(self) -> None:
        """Bind the sockets for clients: the last step of a start."""
        router = self._settings.router
        self._bind(self.front, router.address, mode=router.mode, uid=router.uid, gid=router.gid)
        if router.tcp_address:
            self._open_tcp()

    def _router(self, max_bytes: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, SNDHWM)
        socket.setsockopt(zmq.RCVHWM, SNDHWM)
        socket.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
        return socket

    @staticmethod
    def _bind(socket: zmq.Socket[bytes], path: str, *, mode: int, uid: int, gid: int) -> None:
        # libzmq takes over a path that exists, alive or not; the lock on root has made sure that it is ours.
        old = os.umask(0o177)
        try:
            socket.bind(f"ipc://{path}")
        finally:
            os.umask(old)
        if uid != -1 or gid != -1:
            os.chown(path, uid, gid)
        os.chmod(path, mode)

    def _open_tcp(self) -> None:
        from supervisor.router.curve import allowed_keys, server_keys

        router = self._settings.router
        public, secret = server_keys(router.curve_server_key_file)
        self.allowed = allowed_keys(router.curve_allowed_clients_dir)
        self.zap = self._context.socket(zmq.REP)
        self.zap.setsockopt(zmq.LINGER, 0)
        self.zap.bind(ZAP_ENDPOINT)
        tcp = self._router(router.max_message_bytes * HARD_LIMIT_FACTOR)
        tcp.setsockopt(zmq.CURVE_SERVER, 1)
        tcp.setsockopt(zmq.CURVE_PUBLICKEY, public)
        tcp.setsockopt(zmq.CURVE_SECRETKEY, secret)
        tcp.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        tcp.setsockopt(zmq.TCP_KEEPALIVE, 1)
        tcp.setsockopt(zmq.HEARTBEAT_IVL, 10_000)
        tcp.bind(f"tcp://{router.tcp_address}")
        self.tcp = tcp

    def close(self) -> None:
        """Close everything; what was handed to libzmq has 100 ms to leave."""
        self._context.destroy(linger=100)
        with contextlib.suppress(OSError):
            os.unlink(self._settings.router.address)


def receive(socket: zmq.Socket[bytes]) -> tuple[bytes, list[Any], Any]:
    """One message: the sender's routing id, its frames, and the first frame as zmq's, which knows the peer.

    Frames from the third on that are large stay where libzmq put them (`zmq.Frame`), the others are bytes.
    """
    route = socket.recv(zmq.NOBLOCK)
    first = socket.recv(zmq.NOBLOCK, copy=False)
    frames: list[Any] = [first.bytes]
    more = first.more
    while more:
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        more = frame.more
        frames.append(frame if len(frame) > COPY_THRESHOLD_BYTES else frame.bytes)
    return route, frames, first


def send(socket: zmq.Socket[bytes], route: bytes, frames: list[Any]) -> None:
    """Send a message to a peer.

    Raises:
        zmq.Again: the peer does not read (its queue is full).
        zmq.ZMQError: with EHOSTUNREACH, the peer is gone.
    """
    socket.send(route, zmq.SNDMORE | zmq.NOBLOCK)
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        large = not isinstance(frame, bytes)
        socket.send(frame, zmq.NOBLOCK | (zmq.SNDMORE if index < last else 0), copy=not large)


def size_of(frames: list[Any]) -> int:
    """Bytes of all frames together."""
    total = 0
    for frame in frames:
        total += len(frame)
    return total


def peer_of(frame: Any) -> tuple[int, int, int]:
    """The uid, gid and pid that the kernel told libzmq of an ipc peer; -1, -1, 0 when it told nothing."""
    try:
        text = frame.get("Peer-Address")
    except zmq.ZMQError:
        return -1, -1, 0
    # Seen as "localhost:UID:GID:PID": behaviour of libzmq on Linux, held by a test.
    parts = str(text).rsplit(":", 3)
    if len(parts) != 4 or not all(part.isdigit() for part in parts[1:]):
        return -1, -1, 0
    return int(parts[1]), int(parts[2]), int(parts[3])


def user_of(frame: Any) -> str:
    """The CURVE key by which a tcp peer was let in."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
