"""Publishing, forwarding and subscribing: every event once, in order, with gaps told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.internal import EventsForward, ForwardedEvent
from actors.metadata import eventlog
from tests.support.metadata import Services, open_services, scratch, settings_for
from wharfie.errors import InvalidArgument
from wharfie.types import events
from wharfie.types.base import Empty
from wharfie.types.events import Envelope

DEADLINE_S = 5.0


def publish(services: Services, topic: str = "/t", namespace: str = "ci", **event: Any) -> int:
    request = events.Publish(topic=topic, event=event)
    return services.call("events.publish", request, events.Published, namespace=namespace).seq


def forward(services: Services, *forwarded: ForwardedEvent) -> None:
    services.call("events.forward", EventsForward(events=[*forwarded]), Empty)


class Subscriber:
    """A subscription whose items are taken one by one."""

    def __init__(self, services: Services, after_seq: int = -1, *filters: str) -> None:
        self._items: AsyncIterator[bytes] = services.stream(
            "events.subscribe", events.Subscribe(after_seq=after_seq, filters=[*filters])
        )

    async def next(self) -> Envelope:
        async with asyncio.timeout(DEADLINE_S):
            return msgspec.msgpack.decode(await anext(self._items), type=Envelope)

    async def take(self, count: int) -> list[int]:
        return [(await self.next()).seq for _ in range(count)]

    async def is_silent(self) -> bool:
        """Whether nothing comes although the loop turned; the subscription goes on."""
        pending = asyncio.ensure_future(anext(self._items))
        for _ in range(10):
            await asyncio.sleep(0)
        if pending.done():
            return False
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        return True

    async def close(self) -> None:
        await self._items.aclose()  # type: ignore[attr-defined]


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_a_publish_answers_with_its_number(services: Services) -> None:
    assert [publish(services), publish(services)] == [1, 2]
    assert services.topics() == ["/t", "/t"]


@pytest.mark.parametrize("topic", ["", "/", "a", "/a//b", "/a b"])
def test_topics_are_checked(services: Services, topic: str) -> None:
    with pytest.raises(InvalidArgument):
        publish(services, topic)
    with pytest.raises(InvalidArgument):
        forward(services, ForwardedEvent(topic=topic, timestamp_ns=1, event={}))
    with pytest.raises(InvalidArgument):
        publish(services, "/a", namespace="")


def test_an_event_has_a_size(services: Services) -> None:
    publish(services, "/t", text="x" * 60_000)
    with pytest.raises(InvalidArgument) as caught:
        publish(services, "/t", text="x" * 70_000)
    assert caught.value.details["field"] == "event"
    assert services.topics() == ["/t"]


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


def test_a_replay_has_the_events_as_they_were_published(services: Services) -> None:
    async def work() -> None:
        publish(services, "/a/b", "one", x=[1, {"y": None}])
        subscriber = Subscriber(services, 0)
        got = await subscriber.next()
        assert (got.seq, got.namespace, got.topic, got.event) == (1, "one", "/a/b", {"x": [1, {"y": None}]})
        assert got.timestamp_ns > 0
        assert not got.gap
        assert not got.mark
        await subscriber.close()

    run(work)


def test_replay_and_live_join_without_gap_and_without_repetition(services: Services) -> None:
    async def work() -> None:
        for _ in range(300):
            publish(services)
        subscriber = Subscriber(services, 10)
        seen = await subscriber.take(100)
        for _ in range(50):
            publish(services)
        seen += await subscriber.take(240)
        assert seen == list(range(11, 351))
        assert await subscriber.is_silent()
        await subscriber.close()

    run(work)


def test_without_a_number_a_mark_says_where_it_begins(services: Services) -> None:
    async def work() -> None:
        publish(services)
        subscriber = Subscriber(services)
        mark = await subscriber.next()
        assert (mark.mark, mark.seq, mark.topic) == (True, 1, "")
        publish(services)
        assert await subscriber.take(1) == [2]
        again = Subscriber(services, mark.seq)
        assert await again.take(1) == [2]
        await subscriber.close()
        await again.close()

    run(work)


def test_an_event_is_delivered_only_after_its_commit(services: Services) -> None:
    async def work() -> None:
        subscriber = Subscriber(services)
        await subscriber.next()
        waiting = asyncio.ensure_future(subscriber.next())
        await asyncio.sleep(0)
        services.handle("events.publish", events.Publish(topic="/t"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        services.store.commit()
        assert (await waiting).seq == 1
        await subscriber.close()

    run(work)


def test_a_rolled_back_event_is_never_seen_and_its_number_is_used_again(services: Services) -> None:
    async def work() -> None:
        subscriber = Subscriber(services)
        await subscriber.next()
        services.handle("events.publish", events.Publish(topic="/lost"))
        services.store.connection.execute("ROLLBACK")
        services.store.events.rewind(0)
        publish(services, "/kept")
        got = await subscriber.next()
        assert (got.seq, got.topic) == (1, "/kept")
        await subscriber.close()

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


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], [1, 2, 3, 4]),
        (["namespace==a"], [1, 3]),
        (["topic==/tasks/exit"], [3, 4]),
        (["topic~=^/tasks/", "namespace==a"], [1, 3, 4]),
        (["event.container_id==c1"], [3]),
        (["event.exit_status==7"], [4]),
        (["event.runtime.name==runc"], [1]),
        (["event.labels.a.b==x"], [2]),
        (["event.missing"], []),
    ],
)
def test_filters(services: Services, filters: list[str], expected: list[int]) -> None:
    async def work() -> None:
        publish(services, "/containers/create", "a", id="c1", runtime={"name": "runc"})
        publish(services, "/containers/update", "b", labels={"a.b": "x"})
        publish(services, "/tasks/exit", "a", container_id="c1", exit_status=0)
        publish(services, "/tasks/exit", "b", container_id="c2", exit_status=7)
        replay = Subscriber(services, 0, *filters)
        assert await replay.take(len(expected)) == expected
        assert await replay.is_silent()

    run(work)


def test_a_filter_that_does_not_parse_ends_the_subscription(services: Services) -> None:
    async def work() -> None:
        with pytest.raises(InvalidArgument):
            await Subscriber(services, 0, "topic=x").next()

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


def test_events_and_their_numbers_survive_the_process(directory: str) -> None:
    with open_services(directory) as services:
        publish(services)
    with open_services(directory) as services:
        assert publish(services) == 2

        async def work() -> None:
            assert await Subscriber(services, 0).take(2) == [1, 2]

        run(work)


def test_forwarding_is_idempotent_for_each_key_and_keeps_the_order(services: Services) -> None:
    one, two, three = (
        ForwardedEvent(topic=f"/tasks/{n}", timestamp_ns=n, event={"n": n}, key=f"shim/{n}") for n in (1, 2, 3)
    )
    forward(services, one, two)
    forward(services, two, three, one)
    forward(services, one)
    assert services.topics() == ["/tasks/1", "/tasks/2", "/tasks/3"]
    assert [row[0] for row in services.store.read("SELECT timestamp_ns FROM events ORDER BY seq")] == [1, 2, 3]
    assert [row[0] for row in services.store.read("SELECT seq FROM events ORDER BY seq")] == [1, 2, 3]


def test_events_without_a_key_are_forwarded_each_time(services: Services) -> None:
    event = ForwardedEvent(topic="/t", timestamp_ns=1, event={})
    forward(services, event, event)
    assert services.topics() == ["/t", "/t"]


def test_a_faulty_event_forwards_none(services: Services) -> None:
    good = ForwardedEvent(topic="/t", timestamp_ns=1, event={}, key="k")
    for bad in (
        ForwardedEvent(topic="/t", timestamp_ns=0, event={}),
        ForwardedEvent(topic="t", timestamp_ns=1, event={}),
    ):
        with pytest.raises(InvalidArgument):
            forward(services, good, bad)
    assert services.topics() == []
    forward(services, good)
    assert services.topics() == ["/t"]


def test_a_key_is_known_longer_than_its_event(directory: str) -> None:
    event = ForwardedEvent(topic="/t", timestamp_ns=1, event={}, key="k")
    with open_services(directory, settings_for(directory, retention_count=0)) as services:
        forward(services, event)
        services.store.background(lambda: services.store.events.prune(now_ns=services.store.now_ns(), limit=10))
        assert services.topics() == []
        forward(services, event)
        assert services.topics() == []
        assert services.store.events.head == 1


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
