"""What the tests of `linux` share: a directory on tmpfs, and nothing left open behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from linux import descriptors, mountinfo


@pytest.fixture
def shm() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as path:
        yield path


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    before = descriptors.opened(), [mount.mountpoint for mount in mountinfo.read()]
    yield
    assert (descriptors.opened(), [mount.mountpoint for mount in mountinfo.read()]) == before
