"""The worker as a process: answers, streams, kill -9 at each step of a commit, and databases it cannot open."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest

from actors.metadata.database import open_database
from actors.metadata.main import EX_CONFIG
from tests.support.failpoints import Failpoints
from tests.support.metadataworker import Worker, worker_in
from wharfie import errors
from wharfie.types import containers, events, namespaces
from wharfie.types.base import Empty
from wharfie.types.containers import Container
from wharfie.types.events import Envelope
from wharfie.types.introspection import Plugin


@pytest.fixture
def failpoints(directory: str) -> Failpoints:
    return Failpoints(f"{directory}/failpoints")


@pytest.fixture
def worker(directory: str, failpoints: Failpoints) -> Iterator[Worker]:
    with worker_in(directory, environment=failpoints.environment) as opened:
        opened.start()
        yield opened


def create(name: str) -> containers.Create:
    return containers.Create(container=Container(id=name, spec={"x": 1}))


def ids(worker: Worker) -> list[str]:
    listing = worker.call("containers.list", containers.List(without_spec=True), containers.Listing)
    return [container.id for container in listing.containers]


def test_it_says_ready_with_its_plugins_answers_and_stops_in_order(worker: Worker, directory: str) -> None:
    plugins = msgspec.convert(worker.ready.info["plugins"], list[Plugin])
    assert [f"{plugin.type}.{plugin.id}" for plugin in plugins if plugin.status != "ok"] == []
    assert [plugin.id for plugin in plugins][:2] == ["sqlite", "exchange"]
    assert plugins[0].exports["path"] == f"{directory}/root/metadata.db"
    assert worker.call("metadata.ping", Empty(), Empty, namespace="") == Empty()
    made = worker.call("containers.create", create("c1"), Container, key="k")
    assert worker.stop() == 0
    worker.start()
    assert worker.call("containers.get", containers.Get(id="c1"), Container) == made


def test_errors_cross_as_they_are(worker: Worker) -> None:
    with pytest.raises(errors.NotFound, match="container 'x' not found in namespace 'ci'"):
        worker.call("containers.get", containers.Get(id="x"), Container)
    with pytest.raises(errors.InvalidArgument, match="without_spec"):
        worker.call("containers.list", msgspec.defstruct("Bad", [("without_spec", int)])(5), Container)
    with pytest.raises(errors.Unimplemented):
        worker.call("content.read", Empty(), Empty)


def test_requests_of_one_wake_up_are_answered_in_order(worker: Worker) -> None:
    routes = [worker.send("containers.create", create(f"c{n}"), key=f"k{n}") for n in range(50)]
    routes.append(worker.send("containers.get", containers.Get(id="c49")))
    answers = [worker.answer()[0] for _ in routes]
    assert [(header.id, header.kind) for header in answers] == [(route, "reply") for route in routes]


def test_a_subscriber_gets_events_under_its_credits_and_can_be_cancelled(worker: Worker) -> None:
    stream = worker.send("events.subscribe", events.Subscribe(after_seq=0), namespace="", credits_=2)
    for n in range(4):
        worker.send("events.publish", events.Publish(topic="/t", event={"n": n}))
    seen: list[int] = []
    replies = 0
    while replies < 4 or len(seen) < 2:
        header, body = worker.answer()
        if header.id == stream:
            assert header.kind == "item"
            seen.append(msgspec.msgpack.decode(body, type=Envelope).seq)
        else:
            replies += 1
    assert seen == [1, 2]
    assert worker.call("metadata.ping", Empty(), Empty) == Empty()
    worker.grant(stream, 5)
    for expected in (3, 4):
        header, body = worker.answer()
        assert (header.id, msgspec.msgpack.decode(body, type=Envelope).seq) == (stream, expected)
    worker.cancel(stream)
    header, _ = worker.answer()
    assert (header.id, header.kind) == (stream, "error")
    assert worker.call("events.publish", events.Publish(topic="/t"), events.Published).seq == 5


@pytest.mark.parametrize(("point", "is_stored"), [("metadata.commit.before", False), ("metadata.commit.after", True)])
def test_killed_around_a_commit_a_repeated_request_is_done_once_and_answered(
    worker: Worker, failpoints: Failpoints, point: str, is_stored: bool
) -> None:
    failpoints.arm(point)
    worker.send("containers.create", create("c1"), key="k")
    assert worker.wait() == -9
    worker.start()
    assert ids(worker) == (["c1"] if is_stored else [])
    made = worker.call("containers.create", create("c1"), Container, key="k")
    assert ids(worker) == ["c1"]
    assert worker.call("containers.get", containers.Get(id="c1"), Container) == made
    with pytest.raises(errors.AlreadyExists):
        worker.call("containers.create", create("c1"), Container, key="other")
    assert worker.call("events.publish", events.Publish(topic="/t"), events.Published).seq == 2


def test_a_commit_that_finds_no_space_answers_every_request_of_its_turn_with_that(
    worker: Worker, failpoints: Failpoints
) -> None:
    failpoints.arm("metadata.commit.before", "enospc")
    with pytest.raises(errors.ResourceExhausted) as caught:
        worker.call("containers.create", create("c1"), Container, key="k")
    assert caught.value.details["reason"] == "disk_full"
    assert ids(worker) == []
    worker.call("containers.create", create("c1"), Container, key="k")
    assert ids(worker) == ["c1"]


def test_killed_at_random_moments_under_load_nothing_that_was_answered_is_lost(worker: Worker) -> None:
    """Every answered create is there after each kill; every one that is repeated with its key is answered alike."""
    dice = random.Random(7)
    answered: dict[str, Container] = {}
    pending: dict[int, str] = {}
    number = 0
    for _ in range(6):
        for _ in range(60):
            name = f"c{number:04}"
            number += 1
            pending[worker.send("containers.create", create(name), key=name)] = name
        for _ in range(dice.randrange(60)):
            header, body = worker.answer()
            assert header.kind == "reply"
            answered[pending.pop(header.id)] = msgspec.msgpack.decode(body, type=Container)
        worker.kill()
        worker.drop_answers()
        worker.start()
        for name in pending.values():
            answered[name] = worker.call("containers.create", create(name), Container, key=name)
        pending.clear()
        assert ids(worker) == sorted(answered)
    for name, made in answered.items():
        assert worker.call("containers.get", containers.Get(id=name), Container) == made
    # One event for each container, none twice, none lost.
    assert worker.call("events.publish", events.Publish(topic="/t"), events.Published).seq == number + 1


def test_a_subscription_goes_on_over_a_kill_without_loss_or_repetition(worker: Worker) -> None:
    seen: list[int] = []
    for round_ in range(3):
        stream = worker.send(
            "events.subscribe", events.Subscribe(after_seq=seen[-1] if seen else 0), namespace="", credits_=1000
        )
        for n in range(20):
            worker.send("namespaces.create", namespaces.Create(name=f"n{round_}x{n}"), key=f"{round_}/{n}")
        replies = 0
        while replies < 20 or not seen:
            header, body = worker.answer()
            if header.id == stream:
                seen.append(msgspec.msgpack.decode(body, type=Envelope).seq)
            else:
                replies += 1
        worker.kill()
        worker.drop_answers()
        worker.start()
    stream = worker.send("events.subscribe", events.Subscribe(after_seq=seen[-1]), namespace="", credits_=1000)
    while seen[-1] < 60:
        _, body = worker.answer()
        seen.append(msgspec.msgpack.decode(body, type=Envelope).seq)
    assert seen == list(range(1, 61))


def test_the_end_of_the_supervisor_is_the_end_of_the_worker(worker: Worker) -> None:
    worker.sock.close()
    assert worker.process.wait(20) == 0


@pytest.mark.parametrize("fault", ["newer", "damaged"])
def test_a_database_that_no_restart_will_mend_ends_it_for_good(directory: str, fault: str) -> None:
    with worker_in(directory) as worker:
        path = f"{directory}/root/metadata.db"
        if fault == "newer":
            connection = open_database(path)
            connection.execute("UPDATE meta SET version = 99")
            connection.close()
        else:
            with open(path, "wb") as file:
                file.write(b"no database " * 1000)
        worker.launch()
        assert worker.wait() == EX_CONFIG
