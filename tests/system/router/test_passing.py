"""A request that one worker begins and another ends: the router, both worker loops and the client are real."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator

import pytest

import wharfie
from tests.support.broker import Broker, running
from tests.support.wait import until


@pytest.fixture
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="wr", dir="/dev/shm") as directory, running(directory) as broker:
        broker.start("metadata")
        broker.start("snapshot")
        yield broker


@pytest.fixture
def client(broker: Broker) -> Iterator[wharfie.Client]:
    with wharfie.connect(broker.address, timeout_s=30) as client:
        yield client


def notes(broker: Broker) -> list[list[str]]:
    try:
        with open(f"{broker.directory}/notes") as file:
            return [line.split() for line in file.read().splitlines()]
    except FileNotFoundError:
        return []


class Asking:
    """`snapshots.prepare(key)` in a thread."""

    def __init__(self, client: wharfie.Client, key: str) -> None:
        self._answer: list[object] = []
        self._thread = threading.Thread(target=lambda: self._answer.append(client.snapshots.prepare(key)))
        self._thread.start()

    def answer(self) -> object:
        self._thread.join(40)
        return self._answer[0]


def test_the_second_worker_answers_with_the_key_and_the_uid_of_the_caller(
    broker: Broker, client: wharfie.Client
) -> None:
    assert client.snapshots.prepare("k") == []
    first, second = notes(broker)
    assert first[:3] == ["prepare", "k", "attempt=1"]
    assert second == ["make", "k", "attempt=1", first[3], f"uid={os.getuid()}"]


def test_an_error_of_the_second_worker_is_the_answer(client: wharfie.Client) -> None:
    with pytest.raises(wharfie.AlreadyExists):
        client.snapshots.prepare("taken")


def test_a_request_passed_to_a_worker_that_is_away_waits_for_it(broker: Broker, client: wharfie.Client) -> None:
    broker.workers["snapshot"].kill()
    broker.down("snapshot", blame=False)
    asking = Asking(client, "k")
    until(lambda: notes(broker))
    broker.start("snapshot")
    assert asking.answer() == []
    assert [note[0] for note in notes(broker)] == ["prepare", "make"]


def test_when_the_second_worker_dies_only_its_part_is_done_again(broker: Broker, client: wharfie.Client) -> None:
    asking = Asking(client, "die-once")
    broker.workers["snapshot"].process.wait(30)
    broker.down("snapshot")
    broker.start("snapshot")
    assert asking.answer() == []
    assert [note[::2] for note in notes(broker)] == [
        ["prepare", "attempt=1"],
        ["make", "attempt=1", f"uid={os.getuid()}"],
        ["make", "attempt=2", f"uid={os.getuid()}"],
    ]


def test_the_first_worker_may_die_once_it_has_passed_the_request_on(broker: Broker, client: wharfie.Client) -> None:
    asking = Asking(client, "gate")
    until(lambda: len(notes(broker)) == 2)
    broker.workers["metadata"].kill()
    broker.down("metadata")
    open(f"{broker.directory}/gate", "w").close()
    assert asking.answer() == []
    assert len(notes(broker)) == 2


def test_when_the_router_dies_the_request_is_begun_again_and_joins_what_is_under_way(
    broker: Broker, client: wharfie.Client
) -> None:
    asking = Asking(client, "gate")
    until(lambda: len(notes(broker)) == 2)
    broker.router.kill()
    broker.start_router()
    until(lambda: len(notes(broker)) == 3)
    open(f"{broker.directory}/gate", "w").close()
    assert asking.answer() == []
    assert [note[0] for note in notes(broker)] == ["prepare", "make", "prepare"]


@pytest.mark.parametrize("key", ["in-a-circle", "not-internal"])
def test_what_may_not_be_passed_on_ends_at_its_deadline_and_is_noted(
    broker: Broker, client: wharfie.Client, key: str
) -> None:
    with wharfie.connect(broker.address, timeout_s=1) as hasty, pytest.raises(wharfie.DeadlineExceeded):
        hasty.snapshots.prepare(key)
    assert "pass to nobody" in [letter["reason"] for letter in client.supervisor.dead_letters()]
