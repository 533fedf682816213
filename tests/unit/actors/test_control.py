"""The child's end of the control channel, over a real SEQPACKET pair."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from actors.control import (
    Beat,
    Control,
    ControlClosed,
    Down,
    ForkJob,
    FromChild,
    Ready,
    SetLogLevel,
    ShimStarted,
    SupervisorReply,
    ToChild,
    decode_from_child,
    encode,
)
from linux import unixsocket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Control]]:
    parent, child = unixsocket.pair()
    with parent, Control(child, name="content", generation=3) as control:
        yield parent, control


def receive(sock: socket.socket) -> tuple[FromChild, list[int]]:
    data, fds = unixsocket.recv(sock)
    return decode_from_child(data), fds


def send(sock: socket.socket, message: ToChild, fds: tuple[int, ...] = ()) -> None:
    unixsocket.send(sock, encode(message), fds)


def test_routing_id_is_name_and_generation(pair: tuple[socket.socket, Control]) -> None:
    assert pair[1].routing_id == b"content#3"


def test_ready_and_beat_arrive_as_they_were_sent(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    before = signal.getsignal(signal.SIGTERM)
    try:
        control.ready(adopted=4)
        control.beat(queue=1, in_flight=2, handled=3)
        os.kill(os.getpid(), signal.SIGTERM)  # a ready child does not die of it: `Stop` comes beside it
    finally:
        signal.signal(signal.SIGTERM, before)
    assert receive(parent) == (Ready(info={"adopted": 4}), [])
    assert receive(parent) == (Beat(queue=1, in_flight=2, handled=3), [])


def test_a_beat_into_a_full_buffer_is_dropped_and_does_not_block(pair: tuple[socket.socket, Control]) -> None:
    _, control = pair
    for _ in range(100_000):
        control.beat(queue=1)


def test_descriptors_travel_beside_a_message(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    read, write = os.pipe()
    control.send(ForkJob(id=7, target="a.b:c", args=b"x"), [write])
    os.close(write)
    message, fds = receive(parent)
    assert message == ForkJob(id=7, target="a.b:c", args=b"x")
    assert [os.get_inheritable(fd) for fd in fds] == [False]
    os.write(fds[0], b"hello")
    assert os.read(read, 10) == b"hello"
    os.close(fds[0])
    os.close(read)


def test_sending_into_a_full_buffer_waits_until_there_is_room(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    for _ in range(100_000):
        control.beat(queue=7)
    seen: list[FromChild] = []

    def read() -> None:
        while not seen or isinstance(seen[-1], Beat):
            seen.append(receive(parent)[0])

    reader = threading.Thread(target=read)
    reader.start()
    control.send(ForkJob(id=1, target="a:b"))
    reader.join(10)
    assert len(seen) > 100
    assert seen[-1] == ForkJob(id=1, target="a:b")


def test_a_message_larger_than_a_packet_travels_in_a_memfd(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    body = os.urandom(3_000_000)
    control.send(ForkJob(id=1, target="a:b", args=body), [0])
    message, fds = receive(parent)
    assert isinstance(message, ForkJob)
    assert message.args == body
    assert len(fds) == 1
    os.close(fds[0])
    send(parent, SupervisorReply(id=1, body=body))
    assert control.receive() == [(SupervisorReply(id=1, body=body), [])]


def test_receive_returns_everything_that_came_and_then_nothing(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    assert control.receive() == []
    send(parent, Down(name="metadata", generation=2, reason="signal 9"))
    send(parent, ShimStarted(id=1, pid=42), (0,))
    first, second = control.receive()
    assert first == (Down(name="metadata", generation=2, reason="signal 9"), [])
    assert second[0] == ShimStarted(id=1, pid=42)
    os.close(second[1][0])
    assert control.receive() == []


def test_end_of_the_channel_is_told_after_the_last_messages(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    send(parent, Down(name="a", generation=1, reason="r"))
    parent.close()
    assert len(control.receive()) == 1
    with pytest.raises(ControlClosed):
        control.receive()
    with pytest.raises(ControlClosed):
        control.beat()


def test_log_level_is_applied_on_receipt(pair: tuple[socket.socket, Control]) -> None:
    parent, control = pair
    root = logging.getLogger()
    before = root.level
    try:
        send(parent, SetLogLevel(level="warn"))
        control.receive()
        assert root.level == logging.WARNING
        send(parent, SetLogLevel(level="nonsense"))
        control.receive()
        assert root.level == logging.WARNING
    finally:
        root.setLevel(before)
