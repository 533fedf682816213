"""Arming failpoints of a running daemon, and the list of all of them."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from tests.support.wait import until
from wharfie.failpoint import VARIABLE

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("wharfie", "linux", "config", "shim", "actors", "supervisor", "cli")


class Failpoints:
    """A directory of armed points; give `environment` to the daemon that is to see them."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.environment = {VARIABLE: str(self.directory)}

    def arm(self, name: str, action: str = "kill") -> None:
        """Have the next process that comes by do `action`, once."""
        self.disarm(name)
        partial = self.directory / f".{name}"
        partial.write_text(action)
        partial.rename(self.directory / name)

    def disarm(self, name: str) -> None:
        """Take an armed point back, and forget that it went off."""
        (self.directory / name).unlink(missing_ok=True)
        (self.directory / f"{name}.hit").unlink(missing_ok=True)

    def was_hit(self, name: str) -> bool:
        """A process has come by since the point was armed."""
        return (self.directory / f"{name}.hit").exists()

    def wait_hit(self, name: str, *, deadline_s: float = 10.0) -> None:
        """Wait until a process has come by."""
        until(lambda: self.was_hit(name), deadline_s=deadline_s)


def all_names() -> dict[str, list[str]]:
    """Every name that stands in a call `failpoint.hit("…")`, with the places where it stands.

    Raises: AssertionError for a call whose name is no literal.
    """
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "failpoint.hit(" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if not isinstance(node, ast.Call) or ast.unparse(node.func) != "failpoint.hit":
                    continue
                place = f"{path.relative_to(REPOSITORY)}:{node.lineno}"
                argument = node.args[0] if len(node.args) == 1 else None
                literal = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                assert literal, f"{place}: the name of a failpoint must be a literal"
                assert isinstance(argument, ast.Constant)
                found.setdefault(str(argument.value), []).append(place)
    return found
