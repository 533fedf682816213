"""The ZeroMQ socket of a client: its options, and reading it without ever blocking. Shared by both channels and
workers.
"""

from __future__ import annotations

import os
from typing import Any

import zmq

from wharfie.protocol import COPY_THRESHOLD_BYTES

Socket = zmq.Socket[bytes]


def configure(socket: Socket, curve: tuple[bytes, bytes, bytes] | None) -> None:
    """The options of a client's DEALER (docs/protocol.md explains each)."""
    socket.setsockopt(zmq.ROUTING_ID, b"c" + os.urandom(15))
    announce(socket)
    socket.setsockopt(zmq.LINGER, 200)
    socket.setsockopt(zmq.RECONNECT_IVL, 5)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
    if curve is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, curve[0])
        socket.setsockopt(zmq.CURVE_PUBLICKEY, curve[1])
        socket.setsockopt(zmq.CURVE_SECRETKEY, curve[2])


def announce(socket: Socket) -> None:
    """Have a DEALER announce itself after each reconnect; without IMMEDIATE the probe is sent only once."""
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.PROBE_ROUTER, 1)


def descriptor(socket: Socket) -> int:
    """What to poll for reading. Edge-triggered: look at `readable` after each receive and each send."""
    fd = socket.getsockopt(zmq.FD)
    assert isinstance(fd, int)
    return fd


def readable(socket: Socket) -> bool:
    """Whether a message is there."""
    events = socket.getsockopt(zmq.EVENTS)
    assert isinstance(events, int)
    return bool(events & zmq.POLLIN)


def receive(socket: Socket) -> list[Any]:
    """One message that is there; payload frames that are large are views of libzmq's own memory."""
    frames: list[Any] = [socket.recv(zmq.NOBLOCK)]
    while socket.getsockopt(zmq.RCVMORE):
        if len(frames) < 3:
            frames.append(socket.recv(zmq.NOBLOCK))
        else:
            frame = socket.recv(zmq.NOBLOCK, copy=False)
            frames.append(frame.buffer if len(frame) > COPY_THRESHOLD_BYTES else frame.bytes)
    return frames
