"""What the tests of `linux` share: a directory on tmpfs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture
def shm() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as path:
        yield path
