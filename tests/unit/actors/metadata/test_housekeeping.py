"""Pruning: what goes, what stays, and in which steps."""

from __future__ import annotations

import asyncio
import logging

import pytest

from actors.call import Call
from actors.metadata import eventlog, replies
from actors.metadata.housekeeping import STEP_ROWS, Housekeeping
from tests.support.metadata import Services, open_services, settings_for
from tests.support.wait import until_async
from wharfie.protocol import Routed
from wharfie.types.base import Empty

HOUR_NS = 3600 * 10**9


class Clock:
    """Wall time that moves when told."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000 * 10**9

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(services: Services) -> Clock:
    clock = Clock()
    services.store.now_ns = clock
    return clock


def answer(services: Services, key: str, reply: bytes = b"\x80") -> None:
    services.store.mutate(Call(Routed(id=1, method="m", key=key)), lambda: reply)
    services.store.commit()


def keys(services: Services) -> list[str]:
    return [key for (key,) in services.store.read("SELECT key FROM replies ORDER BY number")]


def prune(services: Services) -> None:
    housekeeping = Housekeeping(services.store)
    while housekeeping.step():
        pass


def test_answers_go_by_age(services: Services, clock: Clock) -> None:
    answer(services, "old")
    clock.now_ns += replies.KEEP_NS - HOUR_NS // 2
    answer(services, "young")
    prune(services)
    assert keys(services) == ["old", "young"]
    clock.now_ns += HOUR_NS // 2 + 1
    prune(services)
    assert keys(services) == ["young"]
    answer(services, "old", b"\xc0")
    assert keys(services) == ["young", "old"]


def test_large_answers_go_early_but_not_before_a_minute(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "KEEP_BYTES", 2500)
    for n in range(5):
        answer(services, f"k{n}", b"\xc4" + b"x" * 999)
    clock.now_ns += replies.KEEP_AT_LEAST_NS
    prune(services)
    assert len(keys(services)) == 5
    clock.now_ns += 1
    prune(services)
    assert keys(services) == ["k2", "k3", "k4"]


def test_the_size_of_all_answers_is_known_after_a_restart(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "KEEP_BYTES", 2500)
    clock = Clock()
    for n in range(5):
        with open_services(directory) as services:
            services.store.now_ns = clock
            answer(services, f"k{n}", b"\xc4" + b"x" * 999)
    clock.now_ns += replies.KEEP_AT_LEAST_NS + 1
    with open_services(directory) as services:
        services.store.now_ns = clock
        prune(services)
        assert keys(services) == ["k2", "k3", "k4"]


def test_events_go_by_count_and_by_age(directory: str) -> None:
    clock = Clock()
    with open_services(directory, settings_for(directory, retention_count=3, retention_age_s=60)) as services:
        store = services.store
        store.now_ns = clock

        def publish() -> Empty:
            store.events.append("ci", "/t", {}, now_ns=clock.now_ns)
            return Empty()

        for _ in range(5):
            store.mutate(Call(Routed(id=1)), publish)
            store.commit()
            clock.now_ns += 10**9
        prune(services)
        assert [seq for (seq,) in store.read("SELECT seq FROM events")] == [3, 4, 5]
        clock.now_ns += 58_500_000_000
        prune(services)
        assert [seq for (seq,) in store.read("SELECT seq FROM events")] == [5]
        clock.now_ns += HOUR_NS
        prune(services)
        assert store.read("SELECT count(*) FROM events").fetchone() == (0,)
        assert store.events.gap_after(2) == 5
        assert store.events.gap_after(5) is None


def test_forwarded_keys_go_by_age_and_by_count(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventlog, "FORWARDED_KEEP", 3)
    log = services.store.events

    def known() -> list[str]:
        return [key for (key,) in services.store.read("SELECT key FROM forwarded ORDER BY number")]

    for n in range(5):
        services.store.background(lambda key=f"k{n}": log.is_new(key, now_ns=clock.now_ns))  # type: ignore[misc]
    prune(services)
    assert known() == ["k2", "k3", "k4"]
    clock.now_ns += eventlog.FORWARDED_KEEP_NS + 1
    prune(services)
    assert known() == []


def test_a_step_is_small_and_says_that_there_is_more(services: Services, clock: Clock) -> None:
    for n in range(STEP_ROWS + 10):
        services.store.mutate(Call(Routed(id=1, method="m", key=str(n))), Empty)
    services.store.commit()
    clock.now_ns += replies.KEEP_NS + 1
    housekeeping = Housekeeping(services.store)
    assert housekeeping.step()
    assert len(keys(services)) == 10
    assert not housekeeping.step()
    assert keys(services) == []


def test_it_goes_on_in_rounds_and_after_a_failure(
    services: Services, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        task = asyncio.ensure_future(Housekeeping(services.store, interval_s=0.001).run())
        answer(services, "first")
        clock.now_ns += replies.KEEP_NS + 1
        await until_async(lambda: not keys(services))
        answer(services, "second")
        clock.now_ns += replies.KEEP_NS + 1
        with caplog.at_level(logging.WARNING):
            services.store.connection.execute("PRAGMA query_only = ON")
            await until_async(lambda: "tried again" in caplog.text)
        services.store.connection.execute("PRAGMA query_only = OFF")
        await until_async(lambda: not keys(services))
        assert not task.done()
        task.cancel()

    asyncio.run(work())
