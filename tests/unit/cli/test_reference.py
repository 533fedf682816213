"""The page of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.reference import page

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    assert DOCS.read_text() == page(), "run: python -m cli.reference > docs/cli.md"


def test_the_page_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = page()
    monkeypatch.setenv("COLUMNS", "40")
    assert page() == before
