from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator

import pytest

from linux.descriptors import opened
from shim.protocol import Stdio
from shim.stdio import StdioError, Streams
from tests.support.bundle import temporary_directory


@pytest.fixture
def directory() -> Iterator[str]:
    before = opened()
    with temporary_directory() as path:
        os.mkfifo(f"{path}/fifo")
        yield path
    assert opened() == before


def test_nothing_is_dev_null(directory: str) -> None:
    streams = Streams(Stdio())
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in streams.fds] == ["/dev/null"] * 3
    streams.close()
    streams.close()


def test_a_fifo_for_output_needs_no_reader_and_its_writer_is_never_killed(directory: str) -> None:
    streams = Streams(Stdio(stdout=f"{directory}/fifo"))
    reader = os.open(f"{directory}/fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.write(streams.fds[1], b"one")
    os.close(reader)
    os.write(streams.fds[1], b"two")
    reader = os.open(f"{directory}/fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 100) == b"onetwo"
    streams.close()
    assert os.read(reader, 100) == b"", "the end of the stream"
    os.close(reader)


def test_the_end_of_input_comes_with_close_stdin(directory: str) -> None:
    streams = Streams(Stdio(stdin=f"{directory}/fifo"))
    poll = select.poll()
    poll.register(streams.fds[0], select.POLLIN)
    assert poll.poll(0) == [], "neither data nor an end"
    writer = os.open(f"{directory}/fifo", os.O_WRONLY)
    os.write(writer, b"hi")
    os.close(writer)
    assert os.read(streams.fds[0], 10) == b"hi"
    assert poll.poll(0) == [], "a writer that went is not the end"
    streams.close_stdin()
    assert os.read(streams.fds[0], 10) == b""
    streams.close()


def test_both_outputs_append_to_one_file(directory: str) -> None:
    path = f"{directory}/log"
    with open(path, "wb") as file:
        file.write(b"0")
    streams = Streams(Stdio(stdout=f"file://{path}", stderr=f"file://{path}"))
    for fd, text in ((streams.fds[1], b"1"), (streams.fds[2], b"2"), (streams.fds[1], b"3")):
        os.write(fd, text)
    streams.close()
    with open(path, "rb") as file:
        assert file.read() == b"0123"


def test_a_new_log_is_readable_by_all_and_writable_by_its_owner(directory: str) -> None:
    mask = os.umask(0o022)
    Streams(Stdio(stderr=f"file://{directory}/log")).close()
    os.umask(mask)
    assert stat.S_IMODE(os.stat(f"{directory}/log").st_mode) == 0o644


@pytest.mark.parametrize(
    ("stdio", "code"),
    [
        (Stdio(terminal=True), "unimplemented"),
        (Stdio(stdout="/nonexistent/fifo"), "not_found"),
        (Stdio(stdin="/nonexistent/fifo"), "not_found"),
        (Stdio(stdout="/etc/passwd"), "invalid_argument"),
        (Stdio(stderr="/etc"), "failed_precondition"),
        (Stdio(stdout="file://relative"), "invalid_argument"),
        (Stdio(stdout="file:///nonexistent/log"), "failed_precondition"),
        (Stdio(stdout="binary:///bin/logger"), "unimplemented"),
    ],
)
def test_what_cannot_be_opened_says_why_and_leaves_no_descriptor(directory: str, stdio: Stdio, code: str) -> None:
    with pytest.raises(StdioError) as caught:
        Streams(stdio)
    assert caught.value.code == code
