"""What the tests of images share: a directory on tmpfs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from linux import mount


@pytest.fixture
def shm() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharfie-erofs-", dir="/dev/shm") as path:
        yield path
        assert mount.unmount_beneath(path, flags=mount.MNT_DETACH) == []
