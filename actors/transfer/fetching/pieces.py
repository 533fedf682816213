"""A registry's blob as pieces in order, over one connection or over several at once.

A piece is what one read brought. Those that follow one another lie in one buffer, so whoever takes them can have them
as one (`inflow.py`). A connection that breaks off is made again from where it was; only one that brings nothing for a
while is an error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import NamedTuple, Protocol

from wharfie.errors import DataLoss, FailedPrecondition, WharfieError

BUFFER_BYTES = 1024 * 1024
"""Large enough that a write of it is cheap; some ten of them are in memory for each blob."""

IDLE_TRIES = 4
"""How often a connection is made that brings nothing, before the blob is given up."""

PAUSE_S = 0.25
"""Before the second try without a byte; it doubles."""


class Piece(NamedTuple):
    """Bytes `start` to `end` of a buffer; what is behind them may still be filled."""

    buffer: memoryview
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class Reader(Protocol):
    """One response of a registry: bytes of a blob from `offset` on."""

    @property
    def offset(self) -> int:
        """Where it begins."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Put some bytes into a buffer; returns how many, 0 at the end."""


Open = Callable[[int, int | None], AbstractContextManager[Reader]]
"""Ask for a blob from an offset on, so many bytes or all."""

Note = Callable[[str], None]
"""Told why a connection is made again."""


def in_order(open_at: Open, *, offset: int, size: int, note: Note) -> Iterator[Piece]:
    """The bytes from `offset` to `size`, over one connection at a time.

    Raises:
        DataLoss: the registry's blob ends early, and does so again.
        WharfieError: what the registry refused.
    """
    idle = 0
    while offset < size:
        try:
            with open_at(offset, None) as reader:
                for piece in _pieces(reader, offset, size):
                    offset += len(piece)
                    idle = 0
                    yield piece
            reason = f"the registry sent {offset} bytes of {size}"
        except WharfieError as error:
            if not error.retryable or "attempts" in error.details:
                # What is asked in vain was asked often enough already.
                raise
            reason = error.message
            if idle + 1 >= IDLE_TRIES:
                raise
        if offset < size:
            idle += 1
            if idle >= IDLE_TRIES:
                raise DataLoss(f"{reason}, and no more when asked again", details={"offset": offset, "size": size})
            note(reason)
            time.sleep(PAUSE_S * 2 ** (idle - 1) if idle > 1 else 0)


def _pieces(reader: Reader, offset: int, end: int) -> Iterator[Piece]:
    """What a response brings from `offset` on; a server may have begun before that."""
    skip = offset - reader.offset
    buffer = memoryview(b"")
    filled = 0
    while offset < end:
        if filled == len(buffer):
            # Fresh memory each time: what was in the last one may still be on its way to the daemon.
            buffer, filled = memoryview(bytearray(min(BUFFER_BYTES, end - offset))), 0
        count = reader.readinto(buffer[filled:])
        if not count:
            return
        if skip:
            # Not wanted: the next bytes take its place.
            unwanted = min(skip, count)
            skip -= unwanted
            kept = count - unwanted
            buffer[filled : filled + kept] = bytes(buffer[filled + unwanted : filled + count])
            count = kept
        if count:
            yield Piece(buffer, filled, filled + count)
            filled += count
            offset += count


class Ranges:
    """Parts of a blob, fetched by several threads and handed over in order. A context manager that ends its threads.

    Args:
        at_once: threads, and so connections.
        range_bytes: of one part; at most as many parts as threads are in memory.
    """

    def __init__(self, open_at: Open, *, offset: int, size: int, at_once: int, range_bytes: int, note: Note) -> None:
        self._open_at = open_at
        self._note = note
        self._parts: deque[tuple[int, int]] = deque(
            (start, min(start + range_bytes, size)) for start in range(offset, size, range_bytes)
        )
        self._starts = [start for start, _ in self._parts]
        self._ready: dict[int, list[Piece] | BaseException] = {}
        self._changed = threading.Condition()
        self._room = at_once
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name="range", daemon=True)
            for _ in range(min(at_once, len(self._starts)))
        ]

    def __enter__(self) -> Iterator[Piece]:
        for thread in self._threads:
            thread.start()
        return self._in_order()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        # Those that wait for the network end by themselves: nobody takes what they bring.

    def _in_order(self) -> Iterator[Piece]:
        for start in self._starts:
            with self._changed:
                while start not in self._ready:
                    self._changed.wait()
                part = self._ready.pop(start)
            if isinstance(part, BaseException):
                raise part
            yield from part
            with self._changed:
                self._room += 1
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._room and not self._closed:
                    self._changed.wait()
                if self._closed or not self._parts:
                    return
                self._room -= 1
                start, end = self._parts.popleft()
            part: list[Piece] | BaseException
            try:
                part = list(in_order(partial(self._within, end), offset=start, size=end, note=self._note))
            except BaseException as error:  # handed to the thread that waits for this part
                part = error
            with self._changed:
                self._ready[start] = part
                self._changed.notify_all()

    @contextmanager
    def _within(self, end: int, at: int, _length: int | None) -> Iterator[Reader]:
        with self._open_at(at, end - at) as reader:
            if reader.offset != at:
                raise NoRanges(f"the registry answers from byte {reader.offset} on when asked for byte {at}")
            yield reader


class NoRanges(FailedPrecondition):
    """The registry answers a range with the whole blob."""
