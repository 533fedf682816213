"""Whatever a peer sends, the router lives, answers the well-behaved, and its refusals are typed."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wharfie
from tests.support.broker import Broker, running
from wharfie.methods import METHODS
from wharfie.protocol import Kind


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory, running(directory) as broker:
        broker.start("metadata")
        yield broker


@pytest.fixture
def raw(broker: Broker) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(f"ipc://{broker.address}")
        yield dealer


def is_alive(broker: Broker) -> None:
    assert broker.router.process.poll() is None
    with wharfie.connect(broker.address, timeout_s=10) as client:
        assert client.namespaces.get("alive").name == "alive"


def answer(dealer: zmq.Socket[bytes]) -> tuple[dict[str, Any], dict[str, Any]]:
    assert dealer.poll(5000), "no answer"
    magic, header, body = dealer.recv_multipart()[:3]
    assert magic == b"W1"
    return msgpack.unpackb(header), msgpack.unpackb(body)


ids = st.one_of(st.integers(-(2**63), 2**64 - 1), st.none(), st.text(max_size=5), st.integers(1, 5))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "id": ids,
        "kind": st.sampled_from([*Kind, "nonsense", 7, None]),
        "method": st.sampled_from([*METHODS, "no.such", "", 3]),
        "namespace": st.sampled_from(["default", "", "../x", "a" * 100, 5]),
        "deadline_ms": st.integers(-5, 10**12) | st.text(max_size=3),
        "key": st.text(max_size=300),
        "credits": st.integers(-10, 2**40),
        "trace": st.text(max_size=50),
        "extra": values,
    },
).map(msgpack.packb)
frames = st.one_of(
    st.lists(st.binary(max_size=200), max_size=6),
    st.tuples(st.sampled_from([b"W1", b"W2", b""]), headers | st.binary(max_size=50), values.map(msgpack.packb)).map(
        list
    ),
    st.tuples(st.just(b"W1"), headers, values.map(msgpack.packb), st.binary(max_size=2000)).map(list),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(frames, min_size=1, max_size=8))
def test_no_sequence_of_messages_ends_the_router(
    broker: Broker, raw: zmq.Socket[bytes], messages: list[list[bytes]]
) -> None:
    for message in messages:
        raw.send_multipart(message or [b""])
    while raw.poll(0):
        raw.recv_multipart()
    assert broker.router.process.poll() is None


def test_the_router_still_serves_after_the_fuzz(broker: Broker) -> None:
    is_alive(broker)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([b"W9", b"\x80", b"\x80"], "invalid_argument"),
        ([b"W1", b"\xc1garbage", b"\x80"], "invalid_argument"),
        ([b"W1", b"\x91" * 60_000 + b"\xc0", b"\x80"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "x" * 70_000}), b"\x80"], "resource_exhausted"),
        ([b"W1", msgpack.packb({"id": 1, "method": "no.such"}), b"\x80"], "unimplemented"),
        ([b"W1", msgpack.packb({"id": 0, "method": "version.get"}), b"\x80"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "kind": "reply"}), b"\x80"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "namespaces.get"})], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "images.get"}), b"\x80"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "namespaces.get", "deadline_ms": -1}), b"\x80"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "namespaces.get"}), b"\xc1"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "namespaces.get"}), b"\x91" * 5000 + b"\xc0"], "invalid_argument"),
        ([b"W1", msgpack.packb({"id": 1, "method": "events.forward", "namespace": "a"}), b"\x80"], "permission_denied"),
    ],
    ids=lambda value: value if isinstance(value, str) else "message",
)
def test_a_malformed_message_is_answered_with_a_typed_error(
    raw: zmq.Socket[bytes], message: list[bytes], code: str
) -> None:
    raw.send_multipart(message)
    header, body = answer(raw)
    assert header["kind"] == "error"
    assert body["code"] == code
    assert body["message"]


def test_bytes_that_are_no_zeromq_at_all_do_no_harm(broker: Broker) -> None:
    for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff" + bytes(8) + b"\x7f" + bytes(200)):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(broker.address)
            sock.sendall(junk)
    is_alive(broker)


def test_a_frame_far_above_the_limit_ends_only_its_own_connection(broker: Broker, raw: zmq.Socket[bytes]) -> None:
    raw.send_multipart([b"W1", msgpack.packb({"id": 1, "method": "version.get"}), bytes(80 << 20)])
    is_alive(broker)


def test_a_client_that_never_reads_is_dropped_and_its_memory_returned(broker: Broker, raw: zmq.Socket[bytes]) -> None:
    raw.rcvhwm = 1
    for number in range(1, 3000):
        raw.send_multipart([b"W1", msgpack.packb({"id": number, "method": "version.get"}), b"\x80"])
    is_alive(broker)


def test_one_clients_flood_does_not_keep_another_waiting(broker: Broker, raw: zmq.Socket[bytes]) -> None:
    for number in range(1, 1000):
        raw.send_multipart(
            [b"W1", msgpack.packb({"id": number, "method": "namespaces.get"}), msgpack.packb({"name": "a"})]
        )
    is_alive(broker)
