"""Isolated namespaces: who wants a blob that another one has must send its bytes, unless that one is shareable."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.content import blob, digest_of, put, touch
from tests.support.storage import Storage, storage
from wharfie import AlreadyExists, Client, FailedPrecondition

SHAREABLE = "containerd.io/namespace.shareable"
SIZE = 100_000


@pytest.fixture(scope="module")
def isolated() -> Iterator[Storage]:
    with storage({"content.sharing_policy": "isolated"}) as running:
        yield running


@pytest.fixture
def connect(isolated: Storage) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []
    numbers = itertools.count()

    def connect() -> Client:
        clients.append(isolated.connect(namespace=f"n{os.urandom(4).hex()}-{next(numbers)}"))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_the_bytes_have_to_be_sent_and_are_stored_once(isolated: Storage, connect: Callable[[], Client]) -> None:
    one, two = connect(), connect()
    data, _ = blob(SIZE)
    digest = put(one, data, {"mine": "yes"})
    assert touch(two, "ref", total=SIZE, expected=digest).offset == 0
    with pytest.raises(FailedPrecondition):
        two.content.commit("ref", expected=digest)
    assert two.content.write("ref", data, expected=digest).offset == SIZE
    assert two.content.commit("ref", expected=digest).labels == {}
    assert two.content.read(digest) == data
    with pytest.raises(AlreadyExists):
        touch(two, "ref", expected=digest)
    one.content.delete(digest)
    assert two.content.read(digest) == data


def test_every_way_of_storing_proves_possession(connect: Callable[[], Client]) -> None:
    one, two, three = connect(), connect(), connect()
    data, _ = blob(3_000_000)
    digest = one.content.ingest(data).digest
    assert two.content.ingest(io.BytesIO(data), ref="ref", expected=digest).digest == digest
    small = data[:1000]
    assert one.content.put(small).new
    assert three.content.put(small).new
    with pytest.raises(FailedPrecondition):
        three.content.put(b"not these", expected=digest_of(small + b"!"))


def test_what_a_shareable_namespace_has_is_shared(connect: Callable[[], Client]) -> None:
    one, two, three = connect(), connect(), connect()
    data, _ = blob(SIZE)
    digest = put(one, data)
    for value, offset in (("false", 0), ("true", SIZE)):
        one.namespaces.update(one.namespace, {SHAREABLE: value})
        status = touch(two, f"ref-{value}", expected=digest)
        assert (status.offset, status.total) == (offset, offset)
    assert two.content.commit("ref-true", expected=digest).digest == digest
    assert two.content.read(digest) == data
    # Somebody has it who does not share, and somebody who does: that is enough.
    assert touch(three, "ref", expected=digest).offset == SIZE
    # Who has it now is not shareable himself.
    one.content.delete(digest)
    assert touch(three, "again", expected=digest).offset == 0


def test_being_shareable_oneself_does_not_open_what_others_have(connect: Callable[[], Client]) -> None:
    one, two = connect(), connect()
    data, _ = blob(SIZE)
    digest = put(one, data)
    two.namespaces.update(two.namespace, {SHAREABLE: "true"})
    assert touch(two, "ref", expected=digest).offset == 0
    assert touch(one, "ref-2", expected=digest_of(b"nobody has it")).offset == 0
