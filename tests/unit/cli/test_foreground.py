"""Output that nobody reads any more."""

from __future__ import annotations

import os
import threading

from cli.foreground import write_all
from cli.logs import _lines as lines_of


def test_a_sink_writes_everything_also_into_a_full_pipe() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    data = os.urandom(1 << 20)
    received: list[bytes] = []

    def take() -> None:
        while piece := os.read(read, 65536):
            received.append(piece)

    reader = threading.Thread(target=take)
    reader.start()
    write_all(write)(data)
    os.close(write)
    reader.join()
    os.close(read)
    assert b"".join(received) == data


def test_a_sink_whose_reader_is_gone_swallows_the_rest() -> None:
    read, write = os.pipe()
    os.close(read)
    sink = write_all(write)
    sink(b"first")
    sink(b"second")
    os.close(write)


def test_lines_are_whole_wherever_the_pieces_end() -> None:
    assert list(lines_of(iter([b"on", b"e\ntw", b"o\n", b"\nrest"]))) == [b"one\n", b"two\n", b"\n", b"rest"]
