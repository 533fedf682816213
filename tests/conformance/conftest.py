"""One daemon for each module; each test has namespaces of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.storage import Storage, storage
from wharfie import Client

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Storage]:
    with storage(btrfs=True) as running:
        yield running


@pytest.fixture
def connect(daemon: Storage) -> Iterator[Callable[[], Client]]:
    """Clients, each in a new namespace."""
    clients: list[Client] = []

    def connect() -> Client:
        clients.append(daemon.connect(namespace=f"test-{next(_numbers)}"))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
