"""The routing table against those who answer: no method without a handler in its owner, no handler outside the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from supervisor.inspect import Inspector
from tests.support import sources
from wharfie.methods import METHODS, WORKERS, Method, Mode

SUPERVISORS = {name for name, rule in METHODS.items() if rule.owner == "supervisor"}


def handlers(worker: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Method and function of every `@handles("…")` in a worker's folder."""
    for path in sources.modules("actors").values():
        if path.parent.relative_to(sources.ROOT / "actors").parts[:1] != (worker,):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "handles":
                    yield ast.literal_eval(decorator.args[0]), node


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_handles_what_the_table_gives_it_and_nothing_else(worker: str) -> None:
    found = [method for method, _ in handlers(worker)]
    assert sorted(found) == sorted(name for name, rule in METHODS.items() if rule.owner == worker)


def is_stream(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return isinstance(function, ast.AsyncFunctionDef) and any(
        isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function)
    )


@pytest.mark.parametrize("worker", WORKERS)
def test_a_stream_in_the_table_is_a_generator_in_the_worker(worker: str) -> None:
    for method, function in handlers(worker):
        assert is_stream(function) == (METHODS[method].mode is Mode.STREAM), method


def test_the_supervisor_answers_what_the_table_gives_it() -> None:
    tree = ast.parse(sources.modules("supervisor")["supervisor.inspect"].read_text())
    (table,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "self._methods"
    )
    assert isinstance(table, ast.Dict)
    assert {ast.literal_eval(key) for key in table.keys if key is not None} == SUPERVISORS
    assert isinstance(Inspector.methods, property)


def test_every_owner_exists() -> None:
    assert {rule.owner for rule in METHODS.values()} == {"router", "supervisor", *WORKERS}


def test_only_what_changes_nothing_may_wait_without_a_key() -> None:
    """A write that waits would have to carry its key for as long as it waits; internal ones do."""
    waiting: dict[str, Method] = {name: rule for name, rule in METHODS.items() if rule.waits}
    assert all(rule.mode is not Mode.WRITE or rule.internal for rule in waiting.values())
