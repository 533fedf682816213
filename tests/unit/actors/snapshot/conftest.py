"""A directory on tmpfs for each test, with nothing left mounted below it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

import pytest

from linux import mount


@pytest.fixture
def root() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="wharfie-snapshot-", dir="/dev/shm")
    yield path
    left = mount.unmount_beneath(path, flags=mount.MNT_DETACH)
    shutil.rmtree(path)
    assert left == []
