"""Waiting in tests: for a condition with a deadline, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL_S = 0.002


def until(predicate: Callable[[], T], *, deadline_s: float = 10.0) -> T:
    """Return the first true value that `predicate` gives; fail the test when there is none within `deadline_s`."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{predicate} stayed false for {deadline_s} s")
        time.sleep(_INTERVAL_S)


async def until_async(predicate: Callable[[], T], *, deadline_s: float = 10.0) -> T:
    """The same on an event loop, which turns meanwhile."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{predicate} stayed false for {deadline_s} s")
        await asyncio.sleep(_INTERVAL_S)
