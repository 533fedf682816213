"""Daemons for tests that kill parts of them, or all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.storage import Storage, storage


@pytest.fixture(scope="module")
def daemon() -> Iterator[Storage]:
    """Shared by the tests of a module; its workers may be killed."""
    with storage(btrfs=True) as running:
        yield running


@pytest.fixture
def mortal() -> Iterator[Storage]:
    """The test's own; all of it may be killed."""
    with storage(btrfs=True) as running:
        yield running
