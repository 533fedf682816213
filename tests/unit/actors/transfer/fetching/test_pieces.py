"""A blob as pieces, over connections that break, ranges that are ignored, and threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from actors.transfer.fetching import pieces
from actors.transfer.fetching.inflow import Inflow
from actors.transfer.fetching.pieces import NoRanges, Piece, Ranges, in_order
from wharfie.errors import DataLoss, NotFound, Unavailable

DATA = bytes(range(256)) * 20_000


class Answer:
    """One response: the data from `offset` to `end`, in reads of `step`; breaks off at `cut`."""

    def __init__(self, offset: int, end: int, *, step: int, cut: int) -> None:
        self.offset = offset
        self._at, self._end, self._step, self._cut = offset, end, step, cut

    def readinto(self, buffer: memoryview, /) -> int:
        if self._at >= self._cut:
            raise Unavailable("the connection broke", retryable=True)
        count = min(len(buffer), self._step, self._end - self._at, self._cut - self._at)
        buffer[:count] = DATA[self._at : self._at + count]
        self._at += count
        return count


class Server:
    """Answers ranges; `cuts` are where its first answers break off."""

    def __init__(self, *, step: int = 100_000, cuts: list[int] | None = None, knows_ranges: bool = True) -> None:
        self.asked: list[int] = []
        self._step, self._cuts, self._knows_ranges = step, cuts or [], knows_ranges
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self, offset: int, length: int | None) -> Iterator[Answer]:
        with self._lock:
            self.asked.append(offset)
            cut = self._cuts.pop(0) if self._cuts else len(DATA) + 1
        if not self._knows_ranges:
            yield Answer(0, len(DATA), step=self._step, cut=cut)
        else:
            yield Answer(offset, len(DATA) if length is None else offset + length, step=self._step, cut=cut)


def whole(found: Iterator[Piece]) -> bytes:
    return b"".join(bytes(piece.buffer[piece.start : piece.end]) for piece in found)


def unheard(_reason: str) -> None:
    return


@pytest.mark.parametrize("step", [997, 100_000, len(DATA)])
@pytest.mark.parametrize("offset", [0, 1, 3_000_000])
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_pieces_are_the_blob_from_an_offset_on(step: int, offset: int, knows_ranges: bool) -> None:
    server = Server(step=step, knows_ranges=knows_ranges)
    assert whole(in_order(server.open, offset=offset, size=len(DATA), note=unheard)) == DATA[offset:]


def test_pieces_that_follow_one_another_lie_in_one_buffer() -> None:
    found = list(in_order(Server().open, offset=0, size=len(DATA), note=unheard))
    assert len({id(piece.buffer) for piece in found}) == -(-len(DATA) // pieces.BUFFER_BYTES)
    assert all(len(piece) <= 100_000 for piece in found)


def test_a_broken_connection_is_gone_on_with() -> None:
    server = Server(cuts=[500_000, 700_000])
    notes: list[str] = []
    assert whole(in_order(server.open, offset=0, size=len(DATA), note=notes.append)) == DATA
    assert server.asked == [0, 500_000, 700_000]
    assert notes == ["the connection broke"] * 2


def test_connections_that_bring_nothing_are_an_error_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PAUSE_S", 0.0)
    with pytest.raises(Unavailable, match="broke"):
        whole(in_order(Server(cuts=[0] * 10).open, offset=0, size=len(DATA), note=unheard))
    with pytest.raises(DataLoss, match="no more when asked again"):
        whole(in_order(Server().open, offset=0, size=len(DATA) + 1, note=unheard))


def test_what_is_refused_is_not_asked_for_again() -> None:
    asked: list[int] = []

    @contextlib.contextmanager
    def refuse(offset: int, _length: int | None) -> Iterator[Answer]:
        asked.append(offset)
        raise NotFound("no such blob")
        yield

    with pytest.raises(NotFound):
        whole(in_order(refuse, offset=0, size=10, note=unheard))
    assert asked == [0]


@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("range_bytes", [1_000_000, 70_001])
def test_ranges_are_handed_over_in_order(at_once: int, range_bytes: int) -> None:
    server = Server(cuts=[1_500_000])
    offset = 123_456
    with Ranges(
        server.open, offset=offset, size=len(DATA), at_once=at_once, range_bytes=range_bytes, note=unheard
    ) as found:
        assert whole(found) == DATA[offset:]


def test_ranges_that_are_not_known_are_said_so() -> None:
    server = Server(knows_ranges=False)
    ranges = Ranges(server.open, offset=0, size=len(DATA), at_once=2, range_bytes=1_000_000, note=unheard)
    with ranges as found, pytest.raises(NoRanges):
        whole(found)


def test_no_more_parts_than_threads_are_fetched_ahead() -> None:
    server = Server()
    with Ranges(server.open, offset=0, size=len(DATA), at_once=2, range_bytes=100_000, note=unheard) as found:
        next(found)
        assert len(server.asked) <= 3


def take_all(inflow: Inflow, on_idle: Callable[[], None] = lambda: None) -> list[bytes]:
    found: list[bytes] = []
    with inflow:
        while (data := inflow.take()) is not None:
            if data:
                found.append(bytes(data))
            else:
                on_idle()
                inflow.wait()
    return found


def test_an_inflow_puts_pieces_together_to_whole_buffers() -> None:
    found = take_all(Inflow(in_order(Server(step=10_000).open, offset=0, size=len(DATA), note=unheard)))
    assert b"".join(found) == DATA
    assert len(found) < 60


def test_an_inflow_hands_over_what_has_come_when_nothing_more_does() -> None:
    go_on = threading.Event()
    first, second = memoryview(bytearray(b"ab" + b"\0" * 8)), memoryview(bytearray(b"cd"))

    def slowly() -> Iterator[Piece]:
        yield Piece(first, 0, 2)
        assert go_on.wait(30)
        first[2:4] = b"xy"
        yield Piece(first, 2, 4)
        yield Piece(second, 0, 2)

    found = take_all(Inflow(slowly()), on_idle=go_on.set)
    assert found == [b"ab", b"xy", b"cd"]


def test_an_inflow_raises_what_reading_ended_with_behind_what_came() -> None:
    def broken() -> Iterator[Piece]:
        yield Piece(memoryview(bytearray(b"ab")), 0, 2)
        raise DataLoss("no more")

    with Inflow(broken()) as inflow:
        data = inflow.take()
        assert data is not None
        assert bytes(data) == b"ab"
        with pytest.raises(DataLoss):
            while inflow.take() is not None:
                continue
