"""What no linter knows: rules of this repository about its own text."""

from __future__ import annotations

import ast

from tests.support import sources

MAY_SLEEP = {
    # The one place that waits, and processes whose business in a test is to be slow.
    "tests/support/wait.py",
    "tests/support/child.py",
    "tests/support/brokerchild.py",
}

# In two parts each, so that this file does not name them either.
FOREIGN = ("../" + "shared", "/wo" + "rk/", ".lib" + "rary/", "py" + "pi.org", "python" + "hosted.org")


def test_no_test_sleeps() -> None:
    """A test waits for what it expects, with a deadline (tests/support/wait.py); a time is too short or too long."""
    found = [
        f"{name}:{node.lineno}"
        for path in sources.files(".py")
        if (name := str(path.relative_to(sources.ROOT))).startswith("tests/") and name not in MAY_SLEEP
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        # sleep(0) lets other coroutines run; it waits for nothing.
        and not (node.args and ast.unparse(node.args[0]) == "0")
    ]
    assert not found


def test_nothing_refers_to_what_is_not_in_the_repository() -> None:
    found = []
    for path in sources.files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(sources.ROOT)}: {word}" for word in FOREIGN if word in text]
    assert not found


def test_every_module_begins_with_what_it_is_for() -> None:
    silent = [
        name
        for name, path in sources.modules().items()
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_every_module_has_annotations_from_the_future() -> None:
    without = [
        str(path.relative_to(sources.ROOT))
        for path in sources.files(".py")
        if _has_code(path.read_text()) and "from __future__ import annotations" not in path.read_text()
    ]
    assert not without


def _has_code(text: str) -> bool:
    body = ast.parse(text).body
    return bool(body[1:] if body and isinstance(body[0], ast.Expr) else body)
