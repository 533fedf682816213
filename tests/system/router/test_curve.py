"""TCP only ever with CURVE: refused without keys, closed to strangers, open to those on the list."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator

import pytest
import zmq
import zmq.auth

import wharfie
from supervisor.router.curve import allowed_keys, answer_zap, server_keys
from tests.support.broker import running
from wharfie.errors import FailedPrecondition


@pytest.fixture
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory:
        yield directory


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_tcp_is_served_to_listed_keys_only(directory: str) -> None:
    os.mkdir(f"{directory}/clients")
    _, server = zmq.auth.create_certificates(directory, "server")
    os.chmod(server, 0o600)
    _, friend = zmq.auth.create_certificates(f"{directory}/clients", "friend")
    os.rename(friend, f"{directory}/friend.key_secret")
    _, stranger = zmq.auth.create_certificates(directory, "stranger")
    address = f"127.0.0.1:{free_port()}"
    overrides = {
        "router.tcp_address": address,
        "router.curve_server_key_file": server,
        "router.curve_allowed_clients_dir": f"{directory}/clients",
    }
    server_public, _ = zmq.auth.load_certificate(server)
    with running(directory, overrides=overrides):
        public, secret = zmq.auth.load_certificate(f"{directory}/friend.key_secret")
        assert secret is not None
        with wharfie.Client(f"tcp://{address}", curve=(server_public, public, secret)).connect() as client:
            assert client.version().version == wharfie.__version__
        public, secret = zmq.auth.load_certificate(stranger)
        assert secret is not None
        with pytest.raises(wharfie.Unavailable):
            wharfie.Client(f"tcp://{address}", curve=(server_public, public, secret), connect_timeout_s=0.5)
        with pytest.raises(wharfie.Unavailable):
            wharfie.Client(f"tcp://{address}", connect_timeout_s=0.5)


def test_tcp_without_keys_is_refused(directory: str) -> None:
    with pytest.raises(FailedPrecondition, match="curve_server_key_file"):
        server_keys("")
    with pytest.raises(FailedPrecondition, match="curve_allowed_clients_dir"):
        allowed_keys("")
    with pytest.raises(FailedPrecondition, match="no client key"):
        allowed_keys(directory)


def test_a_server_key_open_to_others_is_refused(directory: str) -> None:
    _, server = zmq.auth.create_certificates(directory, "server")
    os.chmod(server, 0o644)
    with pytest.raises(FailedPrecondition, match="chmod 600"):
        server_keys(server)


def test_a_malformed_zap_request_is_answered_with_400() -> None:
    assert answer_zap([b"1.0"], frozenset(), domain=b"d")[2] == b"400"
    assert answer_zap([b"1.0", b"1", b"d", b"a", b"i", b"NULL", b""], frozenset(), domain=b"d")[2] == b"400"
