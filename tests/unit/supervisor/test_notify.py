from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from supervisor.notify import Notifier, watchdog_interval_s


@contextmanager
def bound(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener


@pytest.fixture
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as path:
        yield path


@pytest.fixture(params=["path", "abstract"])
def service_manager(request: pytest.FixtureRequest, directory: str) -> Iterator[tuple[str, socket.socket]]:
    """A notify socket as systemd has it, at a path or with an abstract name; gives NOTIFY_SOCKET and the socket."""
    address = f"{directory}/notify" if request.param == "path" else f"@wharfie-test-{os.getpid()}-{id(request)}"
    with bound(address) as listener:
        yield address, listener


def test_every_state_arrives_as_one_datagram(service_manager: tuple[str, socket.socket]) -> None:
    address, listener = service_manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    for sent, datagram in (
        (notifier.ready(), b"READY=1"),
        (notifier.ready("7 processes"), b"READY=1\nSTATUS=7 processes"),
        (notifier.stopping(), b"STOPPING=1"),
        (notifier.stopping("by SIGTERM"), b"STOPPING=1\nSTATUS=by SIGTERM"),
        (notifier.status("waits for content"), b"STATUS=waits for content"),
        (notifier.watchdog(), b"WATCHDOG=1"),
        (notifier.watchdog_trigger(), b"WATCHDOG=trigger"),
        (notifier.failed(28, "no space"), b"ERRNO=28\nSTATUS=no space"),
        (notifier.main_pid(42), b"MAINPID=42"),
        (notifier.extend_timeout(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
    ):
        assert sent
        assert listener.recv(4096) == datagram


def test_reloading_carries_the_monotonic_time_in_microseconds(service_manager: tuple[str, socket.socket]) -> None:
    address, listener = service_manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert Notifier(address).reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    first, second = listener.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= after


def test_a_line_break_in_a_status_cannot_forge_a_state(service_manager: tuple[str, socket.socket]) -> None:
    address, listener = service_manager
    assert Notifier(address).status("a\nMAINPID=1")
    assert listener.recv(4096) == b"STATUS=a MAINPID=1"


def test_without_a_service_manager_nothing_is_sent_and_nothing_logged(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.ready()
    assert not notifier.watchdog()
    assert notifier.watchdog_interval_s is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "address", ["relative", "/dev/shm/none/notify", "/dev/null", "@nobody", "/" + "x" * 200, "vsock:2:5"]
)
def test_a_failure_is_logged_and_never_raised(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not Notifier(address).ready()
    assert [record.message for record in caplog.records] == ["service manager not notified"]


def test_a_service_manager_that_does_not_read_does_not_stop_the_daemon(
    service_manager: tuple[str, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(service_manager[0])
    assert any(not notifier.watchdog() for _ in range(10_000))
    assert "service manager not notified" in caplog.text


def test_the_variables_are_taken_out_of_the_environment_for_the_children(directory: str) -> None:
    environ = {
        "NOTIFY_SOCKET": f"{directory}/notify",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    notifier = Notifier.from_environment(environ)
    assert environ == {"HOME": "/root"}
    assert (notifier.address, notifier.watchdog_interval_s) == (f"{directory}/notify", 15.0)


def test_the_environment_is_that_of_the_process_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "@x")
    assert Notifier.from_environment().address == "@x"
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "1"}, 0.0000005),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": str(1 << 63)}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({"WATCHDOG_PID": "7"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time_and_only_by_the_process_it_is_meant_for(
    environ: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(environ, 7) == interval_s
