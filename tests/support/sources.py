"""The sources of this repository as the tests about them see them: files, modules and what imports what."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent

FLOORS = (("wharfie", "linux"), ("config",), ("shim",), ("actors",), ("supervisor",), ("cli",))
"""From the ground: a package imports from lower floors only, and nothing of its own floor but itself."""

PACKAGES = tuple(name for floor in FLOORS for name in floor)

_SKIPPED = {".git", ".venv", "__pycache__", "dist", "_stubs", ".hypothesis"}


def files(*suffixes: str) -> Iterator[Path]:
    """Every file of the repository with one of the suffixes; of all kinds when none is given."""
    for directory, names, found in os.walk(ROOT):
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.endswith("_cache"))
        for name in sorted(found):
            if not suffixes or name.endswith(suffixes):
                yield Path(directory, name)


def modules(*packages: str) -> dict[str, Path]:
    """Dotted name to file of every module of some packages; of all the daemon's when none is named."""
    found = {}
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


class Import(NamedTuple):
    """One import: `at_start` when it runs with the module, `for_types` when it never does."""

    line: int
    target: str
    names: tuple[str, ...]
    at_start: bool
    for_types: bool


def imports(path: Path) -> Iterator[Import]:
    """All imports of a module, wherever they stand, also those by a constant `import_module("…")`."""
    yield from _imports(ast.parse(path.read_text(), str(path)), at_start=True, for_types=False)


def _imports(node: ast.AST, *, at_start: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name, (), at_start, for_types)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not used"
        yield Import(node.lineno, node.module or "", tuple(a.name for a in node.names), at_start, for_types)
    elif (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ):
        yield Import(node.lineno, str(node.args[0].value), (), at_start, for_types)
    for child in ast.iter_child_nodes(node):
        inner_types = for_types
        inner_start = at_start
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body:
            inner_types, inner_start = True, False
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner_start = False
        yield from _imports(child, at_start=inner_start, for_types=inner_types)


def text_of(node: ast.AST) -> str:
    """The source of an expression."""
    return ast.unparse(node)
