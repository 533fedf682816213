"""The floors of docs/architecture.md: imports only point down, and never in a circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support import sources

LEVEL = {name: level for level, floor in enumerate(sources.FLOORS) for name in floor}
WORKERS = ("content", "metadata", "snapshot", "runtime", "transfer")
ENTRY = "wharfie._entry"
"""Starts the daemon and the command line by name; it is what the console scripts call and nobody imports it."""


def may_import(package: str, other: str) -> bool:
    return package == other or LEVEL[other] < LEVEL[package]


@pytest.mark.parametrize("package", sources.PACKAGES)
def test_imports_point_to_lower_floors_only(package: str) -> None:
    upward = [
        f"{path.relative_to(sources.ROOT)}:{found.line} imports {found.target}"
        for name, path in sources.modules(package).items()
        if name != ENTRY
        for found in sources.imports(path)
        if (other := found.target.partition(".")[0]) in LEVEL and not may_import(package, other)
    ]
    assert not upward


def test_nothing_of_the_daemon_imports_tests_or_tools() -> None:
    wrong = [
        f"{name}:{found.line} imports {found.target}"
        for name, path in sources.modules().items()
        for found in sources.imports(path)
        if found.target.partition(".")[0] in {"tests", "bench", "scripts"}
    ]
    assert not wrong


def test_the_supervisor_imports_no_worker() -> None:
    """It names them as dotted strings, so that a fault in one cannot keep their parent from starting."""
    wrong = [
        f"{name}:{found.line} imports {found.target}"
        for name, path in sources.modules("supervisor").items()
        for found in sources.imports(path)
        if found.target.startswith(tuple(f"actors.{worker}" for worker in WORKERS))
    ]
    assert not wrong


def test_no_modules_import_one_another_in_a_circle() -> None:
    modules = sources.modules()
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        needs = graph.setdefault(name, set())
        for found in sources.imports(path):
            if not found.at_start:
                continue
            named = {f"{found.target}.{part}" for part in found.names} & modules.keys()
            needs |= named or ({found.target} & modules.keys())
        # `from package import part` inside that package means the part.
        needs.discard(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")
