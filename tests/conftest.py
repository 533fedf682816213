"""What holds for every test: it runs isolated, on tmpfs, as root where it must, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import leaks

NEED_ROOT = (
    "system",
    "conformance",
    "unit/linux",
    "unit/shim",
    "unit/supervisor",
    "unit/actors/snapshot",
    "unit/actors/runtime",
    "unit/actors/transfer",
    "unit/wharfie/oci",
)
"""Directories whose tests mount, make control groups or run containers."""

TESTS = Path(__file__).parent

# How long an example takes says something of the machine's load, and nothing of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_at_start: list[leaks.Snapshot] = []


def pytest_configure() -> None:
    if not _at_start:
        leaks.isolation.isolate()
        # tmp_path lies on tmpfs: the root disk is slow, and paths of sockets have to be short.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", leaks.SHM)
        _at_start.append(leaks.take())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    skip = pytest.mark.skip(reason="needs root: it mounts, makes control groups or runs containers")
    for item in items:
        below = item.path.is_relative_to(TESTS) and str(item.path.relative_to(TESTS)).startswith(NEED_ROOT)
        if below or item.get_closest_marker("root") is not None:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    before = leaks.take()
    yield
    left = leaks.leaked(before)
    if left:
        pytest.fail(f"the test left behind: {'; '.join(left)}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fixtures that live longer than a test have to clean up as well."""
    left = leaks.leaked(_at_start[0], inside=False)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"the test run left behind: {'; '.join(left)}", red=True)
