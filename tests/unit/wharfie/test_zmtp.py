"""Our ZMTP against libzmq's at the other end of a real socket, and its decoder against every way to cut a stream."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wait import until
from wharfie.connection import UnixConnection
from wharfie.link import Closed, Link
from wharfie.zmtp import LARGE_BYTES, MAX_FRAMES, Decoder, ZmtpError, encode, greeting, ready

SIZES = (0, 1, 255, 256, LARGE_BYTES, LARGE_BYTES + 1, 3_000_000)


def fed(decoder: Decoder, data: bytes) -> list[list[bytes]]:
    """What a decoder makes of bytes that come in one piece."""
    messages: list[list[bytes]] = []
    while data:
        room = decoder.room()
        if room is not None:
            part, data = data[: len(room)], data[len(room) :]
            room[: len(part)] = part
            messages += decoder.filled(len(part))
        else:
            part, data = data[:LARGE_BYTES], data[LARGE_BYTES:]
            messages += decoder.feed(part)
    return messages


def ready_decoder(*, max_bytes: int = 0) -> Decoder:
    decoder = Decoder(max_bytes=max_bytes)
    assert fed(decoder, greeting() + ready(b"DEALER", b"me")) == []
    assert decoder.is_ready
    assert decoder.identity == b"me"
    return decoder


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wz", dir="/dev/shm") as directory:
        yield f"{directory}/s"


@pytest.fixture
def router(path: str) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.rcvtimeo = router.sndtimeo = 20_000
        router.bind(f"ipc://{path}")
        yield router


@pytest.fixture
def ours(path: str) -> Iterator[UnixConnection]:
    connection = UnixConnection(path, identity=b"ours")
    yield connection
    connection.close()


def received(connection: UnixConnection) -> list[bytes]:
    """The next message of a connection that has at most one on its way."""
    found: list[list[bytes]] = []

    def look() -> bool:
        connection.flush()
        found.extend(connection.receive())
        return bool(found)

    until(look)
    (message,) = found
    return [bytes(frame) for frame in message]


def test_a_router_of_libzmq_hears_our_probe_and_both_sides_understand_each_other(
    router: zmq.Socket[bytes], ours: UnixConnection
) -> None:
    until(lambda: ours.receive() or router.poll(0))
    assert router.recv_multipart() == [b"ours", b""]
    for size in SIZES:
        frames = [b"W1", os.urandom(size), b"", os.urandom(size)]
        assert ours.send(frames)
        ours.flush()

        def is_written() -> bool:
            ours.flush()
            return not ours.wants_write()

        until(is_written)
        assert router.recv_multipart() == [b"ours", *frames]
        router.send_multipart([b"ours", *frames])
        assert received(ours) == frames


def test_a_dealer_of_libzmq_speaks_with_our_router_side(path: str) -> None:
    with (
        socket.socket(socket.AF_UNIX) as listener,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as dealer,
    ):
        listener.bind(path)
        listener.listen()
        dealer.linger = 0
        dealer.rcvtimeo = 20_000
        dealer.setsockopt(zmq.ROUTING_ID, b"theirs")
        dealer.setsockopt(zmq.HEARTBEAT_IVL, 20)
        dealer.connect(f"ipc://{path}")
        sock, _ = listener.accept()
        link = Link(sock, socket_type=b"ROUTER")
        link.flush()
        for size in SIZES:
            frames = [b"W1", os.urandom(size)]
            dealer.send_multipart(frames)
            found = until(link.receive)
            assert [[bytes(frame) for frame in message] for message in found] == [frames]
            link.queue(frames)
            until(link.flush)
            assert dealer.recv_multipart() == frames
        assert link.decoder.identity == b"theirs"
        dealer.close()
        with pytest.raises(Closed):
            until(lambda: link.receive() and False)
        link.close()


def test_a_connection_comes_back_when_the_router_does(path: str, ours: UnixConnection) -> None:
    assert ours.receive() == []
    assert ours.retry_s() is not None
    assert not ours.send([b"W1", b"lost"])
    for _ in range(2):
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.linger = 0
            router.bind(f"ipc://{path}")
            while not router.poll(1):
                assert ours.receive() == []
            assert router.recv_multipart() == [b"ours", b""]
        until(lambda: ours.receive() or ours.retry_s() is not None)


messages = st.lists(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"x" * LARGE_BYTES, b"y" * (LARGE_BYTES + 7)]), min_size=1),
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(messages=messages, cuts=st.lists(st.integers(1, 300) | st.integers(300, 70_000), min_size=1, max_size=40))
def test_messages_are_the_same_however_the_stream_is_cut(messages: list[list[bytes]], cuts: list[int]) -> None:
    stream = greeting() + ready(b"DEALER")
    for message in messages:
        stream += b"".join(encode(message))
    decoder = Decoder()
    found: list[list[bytes]] = []
    number = 0
    while stream:
        # Many small pieces of a long stream would only take time.
        size = cuts[number % len(cuts)] if number < 500 else LARGE_BYTES
        number += 1
        found += fed(decoder, stream[:size])
        stream = stream[size:]
    assert [[bytes(frame) for frame in message] for message in found] == messages


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" + bytes(8) + b"\x00",
        b"\xff" + bytes(8) + b"\x7f\x01",
        greeting().replace(b"NULL", b"CURV"),
        greeting() + encode([b"before the handshake"])[0],
        greeting() + b"\x02" + (1 << 20).to_bytes(8, "big"),
        greeting() + b"\x06" + (1 << 40).to_bytes(8, "big"),
        greeting() + ready(b"PUB"),
        greeting() + b"\x04\x0a\x05READY\xff\x00\x00\x00",
        greeting() + b"\x04\x06\x05ERROR",
    ],
)
def test_what_is_no_zmtp_ends_the_connection_and_takes_no_memory(junk: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(ZmtpError):
        decoder.feed(junk)
    assert decoder.room() is None


@settings(max_examples=300, deadline=None)
@given(junk=st.binary(max_size=400))
def test_any_bytes_are_messages_or_a_zmtp_error(junk: bytes) -> None:
    for decoder in (Decoder(max_bytes=1 << 20), ready_decoder(max_bytes=1 << 20)):
        try:
            decoder.feed(junk)
        except ZmtpError:
            continue


def test_a_message_over_the_limit_is_refused_before_memory_is_set_aside() -> None:
    decoder = ready_decoder(max_bytes=1_000_000)
    with pytest.raises(ZmtpError):
        decoder.feed(b"\x02" + (1_000_001).to_bytes(8, "big"))
    decoder = ready_decoder(max_bytes=1_000_000)
    with pytest.raises(ZmtpError):
        fed(decoder, b"".join(encode([bytes(60_000)] * 20)))


def test_too_many_frames_end_the_connection() -> None:
    with pytest.raises(ZmtpError):
        fed(ready_decoder(), b"".join(encode([b""] * (MAX_FRAMES + 1))))


def test_a_ping_is_answered_with_its_context() -> None:
    decoder = ready_decoder()
    decoder.feed(b"\x04\x0b\x04PING\x00\x01ctxt")
    assert decoder.replies == [b"\x04\x09\x04PONGctxt"]


def test_who_has_not_been_greeted_waits_for_reading_only(path: str, ours: UnixConnection) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        assert ours.receive() == []
        assert ours.send([b"W1", b"held"])
        ours.flush()
        # Else whoever polls would go round and round until the router has been started again.
        assert not ours.wants_write()
