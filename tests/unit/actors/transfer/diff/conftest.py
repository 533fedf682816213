"""What the tests of differences share: two trees on tmpfs, an overlay over one of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture
def shm() -> Iterator[str]:
    """A directory on tmpfs, which keeps the attributes of overlayfs and makes files quickly."""
    with tempfile.TemporaryDirectory(prefix="wharfie-diff-", dir="/dev/shm") as directory:
        yield directory


@pytest.fixture
def lower(shm: str) -> str:
    os.mkdir(f"{shm}/lower")
    return f"{shm}/lower"


@pytest.fixture
def upper(shm: str) -> str:
    os.mkdir(f"{shm}/upper")
    return f"{shm}/upper"
