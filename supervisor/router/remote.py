"""The socket for clients at a distance: TCP, kept up by libzmq, and only ever with CURVE keys and an allow-list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

from supervisor.router.curve import allowed_keys, answer_zap, server_keys
from supervisor.router.sockets import HARD_LIMIT_FACTOR
from wharfie.zmtp import LARGE_BYTES

if TYPE_CHECKING:
    from config.settings import Settings

HIGH_WATER_MARK = 1000
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"wharfie"


class Gone(Exception):
    """The peer cannot be reached any more."""


class Remote:
    """A ROUTER on TCP, and who decides about its clients (ZAP, ZeroMQ RFC 27).

    Raises:
        FailedPrecondition: keys are missing or cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        router = settings.router
        public, secret = server_keys(router.curve_server_key_file)
        self._allowed = allowed_keys(router.curve_allowed_clients_dir)
        self._context = zmq.Context(io_threads=1)
        self._zap: zmq.Socket[bytes] = self._context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        tcp: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        for option, value in (
            (zmq.ROUTER_MANDATORY, 1),
            (zmq.LINGER, 0),
            (zmq.SNDHWM, HIGH_WATER_MARK),
            (zmq.RCVHWM, HIGH_WATER_MARK),
            (zmq.HANDSHAKE_IVL, 5000),
            (zmq.MAXMSGSIZE, router.max_message_bytes * HARD_LIMIT_FACTOR),
            (zmq.CURVE_SERVER, 1),
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.HEARTBEAT_IVL, 10_000),
        ):
            tcp.setsockopt(option, value)
        tcp.setsockopt(zmq.CURVE_PUBLICKEY, public)
        tcp.setsockopt(zmq.CURVE_SECRETKEY, secret)
        tcp.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        tcp.bind(f"tcp://{router.tcp_address}")
        self._tcp = tcp

    def descriptors(self) -> list[int]:
        """To poll for reading. They tell of news once: look with `has_news` after every turn."""
        return [int(socket.getsockopt(zmq.FD)) for socket in (self._tcp, self._zap)]

    def has_news(self) -> bool:
        """Whether `receive` has something to do."""
        return _is_readable(self._tcp) or _is_readable(self._zap)

    def receive(self, limit: int) -> list[tuple[bytes, list[Any], str]]:
        """At most so many messages that are there: the sender's routing id, the frames, and its CURVE key."""
        while _is_readable(self._zap):
            self._zap.send_multipart(answer_zap(self._zap.recv_multipart(), self._allowed, domain=ZAP_DOMAIN))
        found: list[tuple[bytes, list[Any], str]] = []
        while len(found) < limit and _is_readable(self._tcp):
            route = self._tcp.recv(zmq.NOBLOCK)
            first = self._tcp.recv(zmq.NOBLOCK, copy=False)
            frames: list[Any] = [first.bytes]
            more = first.more
            while more:
                frame = self._tcp.recv(zmq.NOBLOCK, copy=False)
                more = frame.more
                frames.append(frame.buffer if len(frame) > LARGE_BYTES else frame.bytes)
            found.append((route, frames, _user_of(first)))
        return found

    def send(self, route: bytes, frames: list[Any]) -> bool:
        """Send a message to a peer. False: it does not read at present.

        Raises:
            Gone: nobody has this routing id any more.
        """
        try:
            self._tcp.send(route, zmq.SNDMORE | zmq.NOBLOCK)
            last = len(frames) - 1
            for index, frame in enumerate(frames):
                self._tcp.send(
                    frame, zmq.NOBLOCK | (zmq.SNDMORE if index < last else 0), copy=len(frame) <= LARGE_BYTES
                )
        except zmq.Again:
            return False
        except zmq.ZMQError:
            raise Gone from None
        return True

    def close(self) -> None:
        """Close both; what was handed to libzmq has 100 ms to leave."""
        self._context.destroy(linger=100)


def _is_readable(socket: zmq.Socket[bytes]) -> bool:
    events = socket.getsockopt(zmq.EVENTS)
    assert isinstance(events, int)
    return bool(events & zmq.POLLIN)


def _user_of(frame: Any) -> str:
    """The CURVE key by which a peer was let in."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
