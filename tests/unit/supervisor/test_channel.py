"""The supervisor's end of a control channel: never blocks, keeps order, forgets nothing that fits."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from actors.control import Beat, Control, Down, FromChild, Ready
from linux import unixsocket
from supervisor.channel import QUEUE_MAX, Channel
from supervisor.loop import Loop


class Pair:
    def __init__(self) -> None:
        self.loop = Loop()
        self.got: list[FromChild] = []
        ours, self.theirs = unixsocket.pair()
        self.channel = Channel(self.loop, ours, name="a", on_message=lambda message, _fds: self.got.append(message))
        self.control = Control(self.theirs, name="a", generation=1)

    def turn(self) -> None:
        self.loop.turn(self.loop.now_s() + 0.05)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.channel.close()
    pair.control.close()
    pair.loop.close()


def down(number: int) -> Down:
    return Down(name="x", generation=number, reason="r" * 100)


def test_messages_of_the_child_arrive_in_order(pair: Pair) -> None:
    pair.control.send(Ready(info={"a": 1}))
    pair.control.beat(queue=3)
    pair.turn()
    assert pair.got == [Ready(info={"a": 1}), Beat(queue=3)]


def test_more_than_the_buffer_holds_arrives_when_the_child_reads(pair: Pair) -> None:
    for number in range(QUEUE_MAX):
        pair.channel.send(down(number))
    received: list[int] = []
    end_s = pair.loop.now_s() + 5
    while len(received) < QUEUE_MAX and pair.loop.now_s() < end_s:
        received += [message.generation for message, _ in pair.control.receive() if isinstance(message, Down)]
        pair.loop.turn(0.0)
    assert received == list(range(QUEUE_MAX))
    assert pair.channel.dropped == 0


def test_a_child_that_never_reads_costs_a_bounded_queue_and_no_time(pair: Pair) -> None:
    for number in range(QUEUE_MAX * 3):
        pair.channel.send(down(number))
    assert pair.channel.dropped > 0


def test_descriptors_are_closed_here_whether_they_could_be_sent_or_not(pair: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(QUEUE_MAX * 2):
        pair.channel.send(down(1), (os.dup(0),))
    pair.channel.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1  # the channel's own socket


def test_nonsense_from_a_child_is_survived(pair: Pair) -> None:
    pair.theirs.send(b"\xff nonsense")
    unixsocket.send(pair.theirs, b"\xc1 no msgpack")
    unixsocket.send(pair.theirs, b"\x81\xa1t\xa7Unknown", (0,))
    pair.control.beat()
    pair.turn()
    assert pair.got == [Beat()]


def test_the_last_words_of_a_dead_child_are_heard(pair: Pair) -> None:
    pair.control.send(Ready())
    pair.theirs.shutdown(socket.SHUT_RDWR)
    pair.channel.drain()
    assert pair.got == [Ready()]
    pair.channel.send(down(1))  # into nothing
    pair.turn()
