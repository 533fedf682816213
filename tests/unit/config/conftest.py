"""What the tests of `config` share: a directory on tmpfs and a way to write files there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

Write = Callable[[str, str], str]


@pytest.fixture
def shm() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as path:
        yield path


@pytest.fixture
def write(shm: str) -> Write:
    """Write a file below the test's directory and return its path."""

    def write_file(name: str, text: str) -> str:
        path = f"{shm}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    return write_file
