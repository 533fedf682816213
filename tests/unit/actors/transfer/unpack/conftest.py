"""What the tests of unpacking share: a directory on tmpfs, a quick way to unpack."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest

from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, UnpackResult

Unpack = Callable[..., UnpackResult]


@pytest.fixture
def shm() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-test-", dir="/dev/shm") as path:
        yield path


@pytest.fixture
def target(shm: str) -> str:
    os.mkdir(f"{shm}/target")
    return f"{shm}/target"


@pytest.fixture
def unpack(shm: str, target: str) -> Unpack:
    """Unpack an archive given as bytes into `target`; keywords go to the request."""

    def function(blob: bytes, **fields: object) -> UnpackResult:
        with open(f"{shm}/blob", "wb") as file:
            file.write(blob)
        return unpack_layer(UnpackRequest(**{"blob_path": f"{shm}/blob", "target": target, **fields}))  # type: ignore[arg-type]

    return function


@pytest.fixture(autouse=True)
def _umask_is_restored() -> Iterator[None]:
    before = _umask()
    yield
    assert _umask() == before


def _umask() -> int:
    value = os.umask(0o22)
    os.umask(value)
    return value
