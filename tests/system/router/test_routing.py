"""The router, worker loops and the client together, each process real; the test stands for the supervisor."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from functools import partial

import pytest

import wharfie
from actors import control
from tests.support.broker import Broker, running
from tests.support.wait import until
from wharfie.types import snapshots, tasks


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory, running(directory) as broker:
        broker.start("metadata")
        yield broker


@pytest.fixture
def client(broker: Broker) -> Iterator[wharfie.Client]:
    with wharfie.connect(broker.address, timeout_s=20) as client:
        yield client


def notes(broker: Broker) -> list[str]:
    try:
        with open(f"{broker.directory}/notes") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def test_version_is_answered_by_the_router(client: wharfie.Client) -> None:
    assert client.version().version == wharfie.__version__


def test_a_call_reaches_its_worker_and_the_peers_uid_travels_with_it(client: wharfie.Client) -> None:
    answer = client.namespaces.get("here")
    assert answer.labels == {"attempt": "1", "uid": str(os.getuid())}


def test_errors_come_back_with_their_class_and_bugs_with_a_report_id(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.AlreadyExists):
        client.namespaces.create("taken")
    for bug in ("bug", "no-answer"):
        with pytest.raises(wharfie.Internal) as caught:
            client.namespaces.create(bug)
        assert caught.value.details["report_id"]


def test_a_worker_may_ask_another_through_the_router(broker: Broker, client: wharfie.Client) -> None:
    broker.start("snapshot")
    client.snapshots.commit("n1", "k1")


def test_a_stream_gives_every_item_in_order_under_credits(broker: Broker, client: wharfie.Client) -> None:
    broker.start("content")
    assert client.content.read("x", size=1000) == bytes(n % 256 for n in range(1000))


def test_a_large_payload_arrives_whole(broker: Broker, client: wharfie.Client) -> None:
    broker.start("content")
    assert client.content.write("r", bytes(3 << 20)).offset == 3 << 20


def test_a_message_over_the_limit_is_refused_and_the_connection_lives(broker: Broker, client: wharfie.Client) -> None:
    broker.start("content")
    with pytest.raises(wharfie.ResourceExhausted, match="larger than"):
        client.content.write("r", bytes(20 << 20))
    assert client.version()


def test_a_call_for_a_worker_that_is_away_waits_for_it(broker: Broker, client: wharfie.Client) -> None:
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(client.content.write("r", b"abc").offset))
    thread.start()
    until(lambda: client.supervisor.router_stats()["workers"]["content"]["waiting"] == 1)
    broker.start("content")
    thread.join(10)
    assert answers == [3]


def test_a_keyed_call_in_flight_in_a_crash_is_done_by_the_next_incarnation(
    broker: Broker, client: wharfie.Client
) -> None:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(client.namespaces.create("die-once").name))
    thread.start()
    broker.workers["metadata"].process.wait(10)
    broker.down("metadata")
    broker.start("metadata")
    thread.join(10)
    assert answers == ["die-once"]
    first, second = (line.split() for line in notes(broker))
    assert (first[2], second[2]) == ("attempt=1", "attempt=2")
    assert first[3] == second[3]


def test_a_call_in_flight_in_two_crashes_is_quarantined(broker: Broker, client: wharfie.Client) -> None:
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            client.namespaces.create("poison")
        except wharfie.WharfieError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    broker.workers["metadata"].process.wait(10)
    broker.down("metadata")
    broker.start("metadata").process.wait(10)
    broker.down("metadata")
    thread.join(10)
    assert isinstance(caught[0], wharfie.Poisoned)
    letters = client.supervisor.dead_letters()
    assert [letter["reason"] for letter in letters] == ["poisoned"]


def test_the_deaths_report_names_what_was_in_flight(broker: Broker, client: wharfie.Client) -> None:
    thread = threading.Thread(target=lambda: client.namespaces.delete("slow-200"))
    thread.start()
    until(lambda: any(line.startswith("delete") for line in notes(broker)))
    broker.workers["metadata"].kill()
    broker.down("metadata", blame=False)
    told = until(lambda: broker.router.heard(control.InFlight))
    assert told[0].methods == ["namespaces.delete"]
    broker.start("metadata")
    thread.join(10)


def test_a_wait_survives_many_deaths_of_its_worker(broker: Broker, client: wharfie.Client) -> None:
    broker.start("runtime")
    exits: list[tasks.Exit] = []

    def waits_are(count: int) -> bool:
        return sum(line.startswith("wait") for line in notes(broker)) == count

    thread = threading.Thread(target=lambda: exits.append(client.tasks.wait("gate")))
    thread.start()
    for number in range(4):
        until(partial(waits_are, number + 1))
        broker.workers["runtime"].kill()
        broker.down("runtime")
        broker.start("runtime")
    open(f"{broker.directory}/gate", "w").close()
    thread.join(10)
    assert exits[0].exit_status == 7


def test_calls_survive_the_death_of_the_router(broker: Broker, client: wharfie.Client) -> None:
    broker.start("runtime")
    exits: list[tasks.Exit] = []
    thread = threading.Thread(target=lambda: exits.append(client.tasks.wait("gate")))
    thread.start()
    until(lambda: any(line.startswith("wait") for line in notes(broker)))
    for _ in range(3):
        broker.router.kill()
        broker.start_router()
        assert client.namespaces.get("here").name == "here"
    open(f"{broker.directory}/gate", "w").close()
    thread.join(10)
    assert exits[0].exit_status == 7


def test_a_keyed_call_is_done_once_when_the_router_dies_with_its_answer(broker: Broker, client: wharfie.Client) -> None:
    thread = threading.Thread(target=lambda: client.namespaces.delete("slow-300"))
    thread.start()
    until(lambda: any(line.startswith("delete") for line in notes(broker)))
    broker.router.kill()
    broker.start_router()
    thread.join(10)
    assert not thread.is_alive()
    assert sum(line.startswith("delete") for line in notes(broker)) == 1


def test_a_stream_goes_on_at_its_cursor_after_deaths_of_worker_and_router(
    broker: Broker, client: wharfie.Client
) -> None:
    broker.start("content")
    got = bytearray()
    for index, part in enumerate(client.content.stream("x", size=600)):
        got += part
        if index == 150:
            broker.workers["content"].kill()
            broker.down("content")
            broker.start("content")
        if index == 400:
            broker.router.kill()
            broker.start_router()
    assert bytes(got) == bytes(n % 256 for n in range(600))


def test_a_deadline_is_answered_by_the_router_and_the_work_is_cancelled(broker: Broker, client: wharfie.Client) -> None:
    with pytest.raises(wharfie.DeadlineExceeded):
        client.namespaces.delete("slow-60000", timeout_s=0.1)
    until(lambda: not client.supervisor.router_stats()["workers"]["metadata"]["in_flight"])


def test_too_many_outstanding_requests_are_refused_at_once(broker: Broker) -> None:
    overrides = {"router.max_outstanding_per_client": 4}
    with (
        tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory,
        running(directory, overrides=overrides) as small,
        wharfie.connect(small.address, timeout_s=5) as client,
    ):
        channel = client._channel
        pending = [channel._open("namespaces.get", tasks.List(), namespace="", timeout_s=5) for _ in range(6)]
        until(lambda: client._channel._take_in() or sum(p.done for p in pending) == 2)
        assert {str(p.error.code) for p in pending if p.error is not None} == {"resource_exhausted"}


def test_twelve_threads_share_one_client(broker: Broker, client: wharfie.Client) -> None:
    failures: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            for index in range(100):
                name = f"n{number}-{index}"
                assert client.namespaces.get(name).name == name
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures


def test_a_missing_or_malformed_namespace_names_the_field(broker: Broker, client: wharfie.Client) -> None:
    with pytest.raises(wharfie.InvalidArgument) as caught:
        client.within("../evil").snapshots.prepare("k")
    assert caught.value.details["field"] == "namespace"


def test_an_internal_method_is_not_for_clients(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.PermissionDenied):
        client._caller.tell("metadata.snapshot_remove", snapshots.Remove(key="k"))


def test_a_body_that_does_not_fit_names_the_field(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.InvalidArgument, match="name"):
        client._caller.tell("namespaces.get", tasks.List())


def test_nobody_at_the_address_is_told_with_a_remedy() -> None:
    with pytest.raises(wharfie.Unavailable, match="wharfied"):
        wharfie.connect("/dev/shm/no-such-socket", connect_timeout_s=0.2)


def test_the_asynchronous_client_asks_many_at_once(broker: Broker) -> None:
    import asyncio

    async def main() -> None:
        async with wharfie.AsyncClient(broker.address, timeout_s=20) as client:
            names = [f"n{n}" for n in range(300)]
            answers = await asyncio.gather(*(client.namespaces.get(name) for name in names))
            assert [answer.name for answer in answers] == names

    asyncio.run(main())


def test_mutating_calls_are_in_the_audit_log_with_the_uid_of_the_peer(broker: Broker, client: wharfie.Client) -> None:
    client.namespaces.create("audited")
    path = f"{broker.directory}/root/audit.log"

    def line() -> str:
        with open(path) as file:
            return next((text for text in file if "namespaces.create" in text), "")

    text = until(line)
    assert f"uid={os.getuid()}" in text
    assert f"pid={os.getpid()}" in text
    assert "outcome=ok" in text
