"""The public surface of `import wharfie`: small, sorted, and what the type checker sees is what is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wharfie

NAMES_MAX = 30
SOURCE = Path(wharfie.__file__)


def test_all_is_sorted_and_small() -> None:
    assert wharfie.__all__ == sorted(wharfie.__all__)
    assert len(wharfie.__all__) <= NAMES_MAX


def test_all_is_what_is_defined_here() -> None:
    tree = ast.parse(SOURCE.read_text())
    typed: set[str] = set()
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("wharfie."):
            typed |= {alias.name for alias in node.names if node.col_offset <= 4}
    typed -= {"Any", "TYPE_CHECKING"}
    assert set(wharfie.__all__) == {*wharfie._HOMES, *defined, "__version__"}
    assert set(wharfie.__all__) - defined == typed


@pytest.mark.parametrize("name", wharfie.__all__)
def test_every_name_can_be_had(name: str) -> None:
    assert getattr(wharfie, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wharfie.nonsense  # noqa: B018


def test_importing_it_loads_neither_zmq_nor_a_client() -> None:
    """A program that only catches errors pays for errors only."""
    code = (
        "import sys, wharfie; wharfie.NotFound; print([n for n in sys.modules if n in ('zmq', 'asyncio', 'msgspec')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_error_is_one_of_the_tree() -> None:
    kinds = [value for name in wharfie.__all__ if isinstance(value := getattr(wharfie, name), type)]
    errors = [kind for kind in kinds if issubclass(kind, Exception)]
    assert len(errors) == 16
    assert all(issubclass(kind, wharfie.WharfieError) for kind in errors)
