"""Publishing, forwarding and subscribing: every event once and in order."""

from __future__ import annotations

import asyncio

import pytest

from actors.internal import EventsForward, ForwardedEvent
from tests.support.metadata import Services, open_services, settings_for
from tests.support.subscriber import Subscriber, publish, run
from wharfie.errors import InvalidArgument
from wharfie.types import events
from wharfie.types.base import Empty


def forward(services: Services, *forwarded: ForwardedEvent) -> None:
    services.call("events.forward", EventsForward(events=[*forwarded]), Empty)


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
