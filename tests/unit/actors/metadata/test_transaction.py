"""Group commit, savepoints, keys: what a turn stores and what it answers."""

from __future__ import annotations

import sqlite3

import pytest

from actors.call import Call
from tests.support.metadata import Services, open_services
from wharfie.errors import AlreadyExists, Internal, InvalidArgument, NotFound, WharfieError
from wharfie.protocol import Routed
from wharfie.types import containers, namespaces
from wharfie.types.base import Empty
from wharfie.types.namespaces import Namespace


def create(name: str) -> namespaces.Create:
    return namespaces.Create(name=name)


def names(services: Services) -> list[str]:
    listing = services.call("namespaces.list", namespaces.List(), namespaces.Listing)
    return [namespace.name for namespace in listing.namespaces]


def test_requests_of_one_turn_share_a_commit(services: Services) -> None:
    statements: list[str] = []
    services.store.connection.set_trace_callback(statements.append)
    for name in ("a", "b", "c"):
        services.handle("namespaces.create", create(name))
    services.store.commit()
    services.store.connection.set_trace_callback(None)
    assert statements.count("BEGIN IMMEDIATE") == 1
    assert statements.count("COMMIT") == 1
    assert names(services) == ["a", "b", "c"]


def test_a_request_that_fails_undoes_itself_and_nobody_else(services: Services) -> None:
    services.handle("namespaces.create", create("a"))
    with pytest.raises(InvalidArgument):
        services.handle("namespaces.create", create("not valid"))
    with pytest.raises(AlreadyExists):
        services.handle("namespaces.create", create("a"))
    services.handle("namespaces.create", create("b"))
    services.store.commit()
    assert names(services) == ["a", "b"]
    assert services.topics() == ["/namespaces/create"] * 2


def test_a_bug_in_the_middle_of_a_request_leaves_nothing_of_it(services: Services) -> None:
    store = services.store

    def half() -> Empty:
        store.connection.execute("INSERT INTO namespaces(name, record) VALUES ('half', x'80')")
        store.events.append("half", "/half", {}, now_ns=1)
        raise ZeroDivisionError

    services.handle("namespaces.create", create("a"))
    with pytest.raises(ZeroDivisionError):
        store.mutate(Call(Routed(id=1, key="k")), half)
    store.commit()
    assert names(services) == ["a"]
    assert services.topics() == ["/namespaces/create"]
    assert store.events.head == 1


def test_a_failed_commit_stores_nothing_and_the_next_turn_works(services: Services) -> None:
    store = services.store
    store.connection.execute(
        "CREATE TABLE child (p INTEGER REFERENCES snapshots (number) DEFERRABLE INITIALLY DEFERRED)"
    )

    def dangling() -> Empty:
        store.connection.execute("INSERT INTO child(p) VALUES (12345)")
        return Empty()

    services.handle("namespaces.create", create("a"), key="ka")
    store.mutate(Call(Routed(id=1)), dangling)
    with pytest.raises(WharfieError):
        store.commit()
    assert names(services) == []
    assert store.events.head == 0
    services.call("namespaces.create", create("a"), Namespace, key="ka")
    assert names(services) == ["a"]
    assert store.events.head == 1


def test_when_sqlite_rolls_back_by_itself_the_whole_turn_is_lost_and_says_so(services: Services) -> None:
    store = services.store

    def roll_back() -> Empty:
        store.connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    services.handle("namespaces.create", create("a"))
    with pytest.raises(WharfieError):
        store.mutate(Call(Routed(id=1)), roll_back)
    with pytest.raises(WharfieError):
        services.handle("namespaces.create", create("b"))
    with pytest.raises(WharfieError):
        store.commit()
    assert names(services) == []
    services.call("namespaces.create", create("c"), Namespace)
    assert names(services) == ["c"]
    assert services.topics() == ["/namespaces/create"]


def test_a_key_is_done_once_and_answered_alike(services: Services) -> None:
    record = containers.Container(id="c1", spec={"x": 1})
    first = services.handle("containers.create", containers.Create(container=record), key="k1")
    services.store.commit()
    services.call("containers.delete", containers.Delete(id="c1"), Empty)
    again = services.handle("containers.create", containers.Create(container=record), key="k1")
    services.store.commit()
    assert again == first
    assert services.topics() == ["/containers/create", "/containers/delete"]
    with pytest.raises(NotFound):
        services.call("containers.get", containers.Get(id="c1"), containers.Container)


def test_two_copies_in_one_turn_get_one_answer(services: Services) -> None:
    first = services.handle("namespaces.create", create("a"), key="k")
    assert services.handle("namespaces.create", create("a"), key="k") == first
    services.store.commit()
    assert services.topics() == ["/namespaces/create"]


def test_an_error_that_is_an_answer_is_repeated_even_when_things_have_changed(services: Services) -> None:
    services.call("namespaces.create", create("a"), Namespace)
    with pytest.raises(AlreadyExists) as first:
        services.call("namespaces.create", create("a"), Namespace, key="k")
    services.call("namespaces.delete", namespaces.Delete(name="a"), Empty)
    with pytest.raises(AlreadyExists) as second:
        services.call("namespaces.create", create("a"), Namespace, key="k")
    assert second.value.to_wire() == first.value.to_wire()
    assert names(services) == []


def test_a_bug_is_not_remembered(services: Services) -> None:
    store = services.store
    call = Call(Routed(id=1, method="m", key="k"))

    def broken() -> Empty:
        raise Internal("broken")

    with pytest.raises(Internal):
        store.mutate(call, broken)
    store.commit()
    assert store.mutate(call, Empty) == b"\x80"
    store.commit()


def test_the_same_key_of_another_method_or_namespace_is_another_request(services: Services) -> None:
    record = containers.Create(container=containers.Container(id="c1", spec={"x": 1}))
    services.call("namespaces.create", create("a"), Namespace, key="k")
    services.call("containers.create", record, containers.Container, namespace="a", key="k")
    services.call("containers.create", record, containers.Container, namespace="b", key="k")
    assert services.topics() == ["/namespaces/create", "/containers/create", "/containers/create"]


def test_answers_survive_the_process(directory: str) -> None:
    with open_services(directory) as services:
        first = services.handle("namespaces.create", create("a"), key="k")
        services.store.commit()
    with open_services(directory) as services:
        assert services.handle("namespaces.create", create("a"), key="k") == first


def test_what_was_not_committed_is_gone_with_the_process(directory: str) -> None:
    with open_services(directory) as services:
        services.call("namespaces.create", create("kept"), Namespace)
        services.handle("namespaces.create", create("lost"), key="k")
        services.store.connection.execute("ROLLBACK")
    with open_services(directory) as services:
        assert names(services) == ["kept"]
        assert services.store.events.head == 1


def test_reading_needs_no_transaction(services: Services) -> None:
    names(services)
    assert not services.store.connection.in_transaction
