from __future__ import annotations

import array
import os
import socket
import stat
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linux import descriptors, unixsocket

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = unixsocket.pair()
    with left, right:
        yield left, right


@pytest.mark.parametrize("size", [0, 1, 1000, 128 * 1024, 128 * 1024 + 1, 5_000_000])
def test_a_message_of_any_size_arrives_whole(pair: Pair, size: int) -> None:
    message = os.urandom(size)
    unixsocket.send(pair[0], message)
    assert unixsocket.recv(pair[1]) == (message, [])


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
def test_descriptors_travel_beside_a_message_and_are_close_on_exec(pair: Pair, size: int) -> None:
    read_end, write_end = os.pipe()
    unixsocket.send(pair[0], b"m" * size, [read_end, write_end])
    message, fds = unixsocket.recv(pair[1])
    assert (len(message), len(fds)) == (size, 2)
    assert not any(map(os.get_inheritable, fds))
    os.write(fds[1], b"through")
    assert os.read(read_end, 10) == b"through"
    for fd in (read_end, write_end, *fds):
        os.close(fd)


@given(messages=st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=30)
def test_messages_keep_their_order_and_borders(messages: list[bytes]) -> None:
    left, right = unixsocket.pair()
    with left, right:
        for message in messages:
            unixsocket.send(left, message)
        assert [unixsocket.recv(right)[0] for _ in messages] == messages


def test_the_end_of_the_stream_is_an_eoferror_after_the_last_message(pair: Pair) -> None:
    unixsocket.send(pair[0], b"")
    pair[0].close()
    assert unixsocket.recv(pair[1]) == (b"", [])
    with pytest.raises(EOFError):
        unixsocket.recv(pair[1])


def test_sending_to_a_peer_that_is_gone_is_a_broken_pipe(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError):
        unixsocket.send(pair[0], b"x")


def test_a_non_blocking_socket_says_that_it_would_block_and_loses_nothing(pair: Pair) -> None:
    pair[0].setblocking(False)
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        unixsocket.recv(pair[1])
    sent = 0
    with pytest.raises(BlockingIOError):
        for sent in range(100_000):
            unixsocket.send(pair[0], b"%d" % sent)
    for number in range(sent):
        assert unixsocket.recv(pair[1])[0] == b"%d" % number
    before = descriptors.opened()
    with pytest.raises(BlockingIOError):
        for sent in range(100_000):
            unixsocket.send(pair[0], b"x" * 200_000)
            if sent % 50 == 0:
                assert len(descriptors.opened()) == len(before)
    while sent:
        assert len(unixsocket.recv(pair[1])[0]) == 200_000
        sent -= 1


@pytest.mark.parametrize("packet", [b"\2hello", b"\1", b"\1abc", b"\xff", b"\0" + b"x" * (128 * 1024 + 1)])
def test_a_packet_that_is_no_message_is_refused(pair: Pair, packet: bytes) -> None:
    pair[0].send(packet)
    with pytest.raises(ValueError, match="packet"):
        unixsocket.recv(pair[1])


def test_descriptors_of_a_refused_packet_are_closed(pair: Pair) -> None:
    with open("/dev/null", "rb") as file:
        fds = array.array("i", [file.fileno()] * 3)
        before = descriptors.opened()
        for packet in (b"\7", b"\1"):
            pair[0].sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            with pytest.raises(ValueError, match=r"sealed|packet"):
                unixsocket.recv(pair[1])
        pair[0].sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()] * 100))])
        with pytest.raises(ValueError, match="larger"):
            unixsocket.recv(pair[1])
        assert descriptors.opened() == before


def test_a_large_message_over_the_limit_is_refused(pair: Pair) -> None:
    unixsocket.send(pair[0], b"x" * 300_000)
    with pytest.raises(ValueError, match="at most 200000"):
        unixsocket.recv(pair[1], max_size=200_000)


def test_too_many_descriptors_are_refused_before_anything_is_sent(pair: Pair) -> None:
    with open("/dev/null", "rb") as file, pytest.raises(ValueError, match="33 descriptors"):
        unixsocket.send(pair[0], b"x", [file.fileno()] * 33)
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        unixsocket.recv(pair[1])


def test_listen_connect_and_the_peers_credentials(shm: str) -> None:
    path = f"{shm}/socket"
    with unixsocket.listen(path) as listener, unixsocket.connect(path, timeout_s=5) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        server, _ = listener.accept()
        with server:
            expected = unixsocket.PeerCredentials(pid=os.getpid(), uid=os.getuid(), gid=os.getgid())
            assert unixsocket.credentials(server) == expected
            unixsocket.send(client, b"ping")
            assert unixsocket.recv(server)[0] == b"ping"


def test_the_mode_of_the_socket_file_can_be_chosen(shm: str) -> None:
    with unixsocket.listen(f"{shm}/socket", mode=0o640):
        assert stat.S_IMODE(os.stat(f"{shm}/socket").st_mode) == 0o640


def test_a_path_in_use_is_refused(shm: str) -> None:
    with unixsocket.listen(f"{shm}/socket"), pytest.raises(OSError, match="in use"):
        unixsocket.listen(f"{shm}/socket")


def test_a_path_of_107_bytes_works_and_one_of_108_is_named(shm: str) -> None:
    path = f"{shm}/" + "x" * (107 - len(shm) - 1)
    with unixsocket.listen(path), unixsocket.connect(path, timeout_s=5):
        pass
    for function in (unixsocket.listen, lambda long: unixsocket.connect(long, timeout_s=1)):
        with pytest.raises(ValueError, match="108 bytes") as caught:
            function(path + "x")
        assert path + "x" in str(caught.value)


def test_connecting_to_nobody_fails_at_once(shm: str) -> None:
    with pytest.raises(FileNotFoundError):
        unixsocket.connect(f"{shm}/socket", timeout_s=5)
    unixsocket.listen(f"{shm}/socket").close()
    with pytest.raises(ConnectionRefusedError):
        unixsocket.connect(f"{shm}/socket", timeout_s=5)


def test_connecting_to_a_full_queue_times_out(shm: str) -> None:
    path = f"{shm}/socket"
    with unixsocket.listen(path, backlog=0):
        first = unixsocket.connect(path, timeout_s=5)
        with first, pytest.raises(TimeoutError, match="did not accept"):
            unixsocket.connect(path, timeout_s=0.05)
