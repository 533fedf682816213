"""Between the thread that reads from a registry and the one that writes to the daemon: neither waits for the other.

Large pieces are cheap, but what has come shall be stored soon, also when a registry is slow or stands still. So pieces
that follow one another in a buffer are put together until it is full, or until nothing more has come for a moment.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from actors.transfer.fetching.pieces import Piece

PATIENCE_S = 0.1
"""How long a buffer that is not full may wait for more."""

MAX_BUFFERS = 2
"""Buffers that wait for the writer; then the reader waits."""


class Inflow:
    """Reads pieces in a thread of its own. A context manager; at its end the thread is not waited for.

    Args:
        pieces: in order. An error of theirs is raised by `take`, behind what came before it.
    """

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._waiting: deque[Piece] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="inflow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self) -> memoryview | None:
        """The next bytes; empty when none have come for a moment; None at the end.

        Raises: what reading ended with.
        """
        with self._changed:
            until_s = time.monotonic() + PATIENCE_S
            while True:
                waiting = self._waiting
                if waiting and (len(waiting) > 1 or waiting[0].end == len(waiting[0].buffer) or self._ended):
                    break
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    if not waiting:
                        return memoryview(b"")
                    break
                self._changed.wait(left_s)
            piece = self._waiting.popleft()
            self._changed.notify_all()
            return piece.buffer[piece.start : piece.end]

    def wait(self) -> None:
        """Wait until there is anything to take."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()

    def _read(self) -> None:
        try:
            for piece in self._pieces:
                if not self._put(piece):
                    return
        except BaseException as error:  # raised in the thread that takes
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, piece: Piece) -> bool:
        with self._changed:
            last = self._waiting[-1] if self._waiting else None
            if last is not None and last.buffer is piece.buffer and last.end == piece.start:
                self._waiting[-1] = Piece(piece.buffer, last.start, piece.end)
                if piece.end == len(piece.buffer):
                    self._changed.notify_all()
            else:
                while len(self._waiting) >= MAX_BUFFERS and not self._closed:
                    self._changed.wait()
                self._waiting.append(piece)
                self._changed.notify_all()
            return not self._closed
