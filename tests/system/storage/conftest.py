"""Daemons for tests that kill parts of them, or all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.storage import Storage, storage


@pytest.fixture(scope="session")
def _warm() -> None:
    """The first large message starts a thread of pyzmq's that stays; not in a test that is watched for leaks."""
    with storage() as running, running.connect() as client:
        client.content.write("warm-up", bytes(1 << 20))


@pytest.fixture(scope="module")
def daemon(_warm: None) -> Iterator[Storage]:
    """Shared by the tests of a module; its workers may be killed."""
    with storage(btrfs=True) as running:
        yield running


@pytest.fixture
def mortal(_warm: None) -> Iterator[Storage]:
    """The test's own; all of it may be killed."""
    with storage(btrfs=True) as running:
        yield running
