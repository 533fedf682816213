from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bundle import has_runc, temporary_directory
from tests.support.shim import ShimHarness


@pytest.fixture
def shim() -> Iterator[ShimHarness]:
    """A running shim with a connected client."""
    if not has_runc():
        pytest.skip("needs root, runc and busybox")
    with temporary_directory() as directory:
        harness = ShimHarness(directory)
        try:
            harness.start()
            yield harness
        finally:
            harness.close()
