"""One line on a terminal that tells how far something is: bytes, share, rate, time left. Elsewhere nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from cli.size import spoken

EVERY_S = 0.1
"""Drawn no oftener: a terminal is slower than a daemon."""

_CLEAR = "\r\x1b[K"


class Meter:
    """Use it in a `with` statement; at its end the line is gone.

    Args:
        what: stands in front.
        total: bytes in all; 0 when nobody knows.
        is_shown: draw; by default when stderr is a terminal.
    """

    def __init__(self, what: str, *, total: int = 0, is_shown: bool | None = None) -> None:
        self._what = what
        self._total = total
        self._is_shown = sys.stderr.isatty() if is_shown is None else is_shown
        self._started_s = time.monotonic()
        self._next_s = self._started_s + EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def show(self, done: int, *, total: int = 0) -> None:
        """Tell how many bytes are done; draws when it is time to."""
        if not self._is_shown:
            return
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + EVERY_S
        sys.stderr.write(f"{_CLEAR}{line(self._what, done, total or self._total, now_s - self._started_s)}")
        sys.stderr.flush()


def line(what: str, done: int, total: int, seconds: float) -> str:
    """The line: `layer  12 MiB / 40 MiB  30 %  6.1 MiB/s  5 s left`. Pure."""
    parts = [what, f"{spoken(done)} / {spoken(total)}" if total else spoken(done)]
    if total:
        parts.append(f"{min(100, done * 100 // total)} %")
    if seconds > 0 and done:
        rate = done / seconds
        parts.append(f"{spoken(int(rate))}/s")
        if total > done:
            parts.append(f"{(total - done) / rate:.0f} s left")
    return "  ".join(parts)
