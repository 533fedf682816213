"""The log under the subscriptions: memory and table, retention, gaps, and what no reader may ever see."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.metadata import eventlog
from tests.support.metadata import Services, open_services, scratch, settings_for
from tests.support.subscriber import Subscriber, publish, run
from wharfie.types import events


def test_the_memory_of_the_newest_is_bounded_by_their_size(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        slow, quick = Subscriber(services, 0), Subscriber(services, 0)
        publish(services)
        await slow.next()
        await quick.next()
        for n in range(2, 30):
            publish(services, text="x" * 1000)
            assert await quick.take(1) == [n]
            assert len(services.store.events._tail) <= 5
        assert await slow.take(28) == list(range(2, 30))
        await slow.close()
        await quick.close()
        assert services.store.events._tail_bytes == 0

    monkeypatch.setattr(eventlog, "TAIL_BYTES", 5000)
    run(work)


def test_a_reader_that_is_slower_than_the_memory_reads_from_the_table(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        slow, quick = Subscriber(services, 0), Subscriber(services, 0)
        publish(services)
        assert await slow.take(1) == await quick.take(1) == [1]
        for round_ in range(20):
            for _ in range(50):
                publish(services)
            assert await quick.take(50) == list(range(2 + 50 * round_, 52 + 50 * round_))
        assert await slow.take(1000) == list(range(2, 1002))
        await slow.close()
        await quick.close()

    assert eventlog.TAIL < 1000
    run(work)


def test_what_retention_removed_is_told_as_a_gap_and_then_it_goes_on(directory: str) -> None:
    async def work(services: Services) -> None:
        for _ in range(30):
            publish(services)
        services.store.background(lambda: services.store.events.prune(now_ns=services.store.now_ns(), limit=1000))
        subscriber = Subscriber(services, 5)
        gap = await subscriber.next()
        assert (gap.gap, gap.seq, gap.topic) == (True, 20, "")
        assert await subscriber.take(10) == list(range(21, 31))
        at_the_edge = Subscriber(services, 20)
        assert await at_the_edge.take(1) == [21]
        await subscriber.close()
        await at_the_edge.close()

    with open_services(directory, settings_for(directory, retention_count=10)) as services:
        run(lambda: work(services))
    with open_services(directory, settings_for(directory, retention_count=10)) as services:
        assert services.store.events.gap_after(0) == 20


def test_a_gap_that_opens_under_a_reader_is_told_to_it(directory: str) -> None:
    async def work(services: Services) -> None:
        log = services.store.events
        reader = Subscriber(services, 0)
        publish(services)
        assert await reader.take(1) == [1]
        await reader.close()
        slow = Subscriber(services, 1)
        for _ in range(eventlog.TAIL + 200):
            publish(services)
        while services.store.background(lambda: log.prune(now_ns=services.store.now_ns(), limit=64)):
            pass
        gap = await slow.next()
        assert (gap.gap, gap.seq) == (True, log.head - 10)
        assert await slow.take(10) == list(range(log.head - 9, log.head + 1))
        await slow.close()

    with open_services(directory, settings_for(directory, retention_count=10)) as services:
        run(lambda: work(services))


def test_a_number_of_another_database_is_told_as_a_gap(services: Services) -> None:
    async def work() -> None:
        publish(services)
        subscriber = Subscriber(services, 5000)
        gap = await subscriber.next()
        assert (gap.gap, gap.seq) == (True, 1)
        publish(services)
        assert await subscriber.take(1) == [2]
        await subscriber.close()

    run(work)


def test_the_memory_of_the_newest_goes_with_the_last_reader(services: Services) -> None:
    async def work() -> None:
        first, second = Subscriber(services), Subscriber(services)
        await first.next()
        await second.next()
        publish(services)
        assert len(services.store.events._tail) == 1
        await first.close()
        assert len(services.store.events._tail) == 1
        await second.close()
        assert len(services.store.events._tail) == 0
        publish(services)
        assert len(services.store.events._tail) == 0

    run(work)


def test_a_cancelled_reader_leaves_nothing_waiting(services: Services) -> None:
    async def work() -> None:
        subscriber = Subscriber(services)
        await subscriber.next()
        assert await subscriber.is_silent()
        assert services.store.events._waiting == []
        assert services.store.events.readers == 0

    run(work)


STEPS = st.lists(st.sampled_from(["publish", "fail", "read", "prune", "restart"]), max_size=40)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 12))
def test_whatever_happens_a_reader_sees_each_number_once_in_order_or_is_told(steps: list[str], retention: int) -> None:
    """A reader that comes back with its last number, over publishes, rollbacks, pruning and restarts."""

    async def take(services: Services, seq: int) -> int:
        subscriber = Subscriber(services, seq)
        while seq < services.store.events.head:
            got = await subscriber.next()
            assert got.seq > seq
            assert got.gap or got.seq == seq + 1
            seq = got.seq
        await subscriber.close()
        return seq

    with scratch() as directory:
        chosen = settings_for(directory, retention_count=retention)
        seq = published = 0
        remaining = [*steps, "read"]
        while remaining:
            with open_services(directory, chosen) as services:
                while remaining:
                    step = remaining.pop(0)
                    if step == "restart":
                        break
                    if step == "publish":
                        published += 1
                        assert publish(services) == published
                    elif step == "fail":
                        services.handle("events.publish", events.Publish(topic="/lost"))
                        services.store.connection.execute("ROLLBACK")
                        services.store.events.rewind(0)
                    elif step == "prune":
                        log, now_ns = services.store.events, services.store.now_ns()
                        services.store.background(lambda: log.prune(now_ns=now_ns, limit=3))  # noqa: B023
                    else:
                        seq = asyncio.run(take(services, seq))
                        assert seq == published
