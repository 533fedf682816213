"""Connections of the router's local socket: strangers, names, comings and goings."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

import wharfie
from supervisor.router.connections import HANDSHAKE_S
from tests.support.broker import Broker, running
from tests.support.wait import until
from wharfie import protocol
from wharfie.connection import UnixConnection
from wharfie.protocol import Header
from wharfie.types import tasks
from wharfie.zmtp import greeting, ready


@pytest.fixture
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory, running(directory) as broker:
        broker.start("runtime")
        yield broker


def heard(connection: UnixConnection, kind: str) -> list[list[bytes]]:
    """Messages of a kind, waited for."""
    found: list[list[bytes]] = []

    def look() -> bool:
        for frames in connection.receive():
            if protocol.decode_header(frames[1]).kind == kind:
                found.append(frames)
        return bool(found)

    until(look, deadline_s=30)
    return found


def wait_message(number: int, name: str) -> list[bytes]:
    header = Header(id=number, method="tasks.wait", namespace="default")
    return [b"W1", protocol.encode(header), protocol.encode(tasks.Wait(container_id=name))]


def notes(broker: Broker) -> list[str]:
    try:
        with open(f"{broker.directory}/notes") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def test_who_never_says_who_it_is_is_put_out(broker: Broker) -> None:
    with contextlib.ExitStack() as opened:
        strangers = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for sock, first in zip(strangers, (b"", greeting()[:20], greeting()), strict=True):
            sock.settimeout(HANDSHAKE_S + 30)
            sock.connect(broker.address)
            sock.sendall(first)
        quiet = opened.enter_context(socket.socket(socket.AF_UNIX))
        quiet.connect(broker.address)
        quiet.sendall(greeting())
        quiet.sendall(ready(b"DEALER"))
        for sock in strangers:
            while sock.recv(4096):
                pass
        # Who has ended the handshake may say nothing as long as it likes.
        end_s = time.monotonic() + 2.0
        until(lambda: time.monotonic() > end_s)
        with pytest.raises(BlockingIOError):
            while quiet.recv(4096, socket.MSG_DONTWAIT):
                pass


def test_a_client_that_comes_back_under_its_name_gets_the_answer_it_waited_for(broker: Broker) -> None:
    first = UnixConnection(broker.address, identity=b"me")
    heard(first, "hello")
    first.send(wait_message(1, "gate"))
    first.flush()
    until(lambda: notes(broker))
    first.close()
    second = UnixConnection(broker.address, identity=b"me")
    heard(second, "hello")
    open(f"{broker.directory}/gate", "w").close()
    (reply,) = heard(second, "reply")
    assert protocol.decode_header(reply[1]).id == 1
    second.close()


def test_the_requests_of_a_client_that_is_gone_are_dropped(broker: Broker) -> None:
    gone = UnixConnection(broker.address, identity=b"gone")
    heard(gone, "hello")
    gone.send(wait_message(1, "never"))
    gone.flush()
    until(lambda: notes(broker))
    gone.close()
    with wharfie.connect(broker.address, timeout_s=30) as client:
        until(lambda: "peer gone" in [letter["reason"] for letter in client.supervisor.dead_letters()], deadline_s=30)


def test_a_name_that_is_in_use_cannot_be_taken(broker: Broker) -> None:
    owner = UnixConnection(broker.address, identity=b"mine")
    heard(owner, "hello")
    owner.send(wait_message(1, "gate"))
    owner.flush()
    until(lambda: notes(broker))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            thief = UnixConnection(broker.address, identity=b"mine")
            thief.receive()
            until(lambda: not thief.receive() and thief.retry_s() is not None, deadline_s=30)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    open(f"{broker.directory}/gate", "w").close()
    assert heard(owner, "reply")
    owner.close()


def test_a_program_with_plain_zeromq_and_heartbeats_is_served(broker: Broker) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvtimeo = 30_000
        dealer.setsockopt(zmq.HEARTBEAT_IVL, 20)
        dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, 30_000)
        dealer.connect(f"ipc://{broker.address}")
        dealer.send_multipart(wait_message(1, "gate"))
        until(lambda: notes(broker))
        open(f"{broker.directory}/gate", "w").close()
        assert protocol.decode_header(dealer.recv_multipart()[1]).kind == "reply"


def test_a_large_upload_and_a_slow_reader_do_not_disturb_another_client(broker: Broker) -> None:
    broker.start("content")
    slow = UnixConnection(broker.address, identity=b"slow")
    heard(slow, "hello")
    frame = bytes(8 << 20)
    with wharfie.connect(broker.address, timeout_s=30) as client:
        sizes: list[int] = []
        thread = threading.Thread(
            target=lambda: sizes.extend(client.content.write(f"r{n}", frame).offset for n in range(4))
        )
        thread.start()
        with wharfie.connect(broker.address, timeout_s=30) as other:
            assert other.version().version == wharfie.__version__
        thread.join(60)
    assert sizes == [len(frame)] * 4
    slow.close()
