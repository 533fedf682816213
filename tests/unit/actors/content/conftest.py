"""A store on tmpfs for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from actors.content.store import BlobStore


@pytest.fixture
def root() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-content-", dir="/dev/shm") as directory:
        yield directory


@pytest.fixture
def store(root: str) -> BlobStore:
    return BlobStore(root)
