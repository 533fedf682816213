"""The loop: descriptors before timers, callbacks that take others away, signals as messages."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from supervisor.loop import Loop, Signals


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_what_has_arrived_is_seen_before_a_timer_that_is_due(loop: Loop) -> None:
    read, write = os.pipe()
    seen: list[str] = []
    loop.call_later(0.0, lambda: seen.append("timer"))
    loop.watch(read, lambda: seen.append(os.read(read, 10).decode()))
    os.write(write, b"data")
    loop.turn()
    assert seen == ["data", "timer"]
    loop.unwatch(read)
    os.close(read)
    os.close(write)


def test_a_descriptor_that_an_earlier_callback_took_away_is_not_called_even_if_its_number_is_used_again(
    loop: Loop,
) -> None:
    pairs = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def take_other_away(mine: int) -> None:
        called.append(mine)
        for read, _write in pairs:
            loop.unwatch(read)

    for read, write in pairs:
        loop.watch(read, lambda read=read: take_other_away(read))  # type: ignore[misc]
        os.write(write, b"x")
    loop.turn(0.0)
    loop.turn(0.0)
    assert len(called) == 1
    for read, write in pairs:
        os.close(read)
        os.close(write)


def test_timers_fire_in_order_once_and_not_when_cancelled(loop: Loop) -> None:
    seen: list[int] = []
    loop.call_later(0.002, lambda: seen.append(2))
    loop.call_later(0.001, lambda: seen.append(1))
    loop.call_later(0.0015, lambda: seen.append(0)).cancel()
    end_s = loop.now_s() + 5
    while len(seen) < 2 and loop.now_s() < end_s:
        loop.turn(end_s)
    loop.turn(0.0)
    assert seen == [1, 2]


def test_turn_ends_at_the_given_moment(loop: Loop) -> None:
    begin_s = loop.now_s()
    loop.turn(begin_s + 0.02)
    assert 0.019 <= loop.now_s() - begin_s < 1


def test_writable_is_called_until_it_is_switched_off(loop: Loop) -> None:
    read, write = os.pipe()
    seen: list[str] = []
    loop.watch(write, lambda: None)
    loop.watch_writable(write, lambda: seen.append("w"))
    loop.turn(0.0)
    loop.turn(0.0)
    loop.watch_writable(write, None)
    loop.turn(0.0)
    assert seen == ["w", "w"]
    loop.unwatch(write)
    os.close(read)
    os.close(write)


def test_signals_come_as_numbers_and_handlers_are_put_back(loop: Loop) -> None:
    before = signal.getsignal(signal.SIGUSR2)
    seen: list[int] = []
    signals = Signals(loop, (signal.SIGUSR2,), seen.append)
    os.kill(os.getpid(), signal.SIGUSR2)
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.turn(loop.now_s() + 5)
    assert set(seen) == {signal.SIGUSR2}
    signals.close()
    assert signal.getsignal(signal.SIGUSR2) == before
