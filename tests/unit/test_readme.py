"""README.md promises nothing that is not there, and its example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import busybox, sources
from tests.support.daemon import Daemon

README = (sources.ROOT / "README.md").read_text()
EXAMPLE_LINES = 10


def test_every_promise_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| (.+) \| `(tests/\S+?)::(\w+)` \|$", README, re.MULTILINE)
    assert len(rows) > 15
    missing = [
        f"{path}::{name}"
        for _, path, name in rows
        if not (sources.ROOT / path).exists() or f"def {name}(" not in (sources.ROOT / path).read_text()
    ]
    assert not missing


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in sorted((sources.ROOT / "docs").glob("*.md")))]
)
def test_every_link_leads_somewhere(page: str) -> None:
    path = sources.ROOT / page
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = path.parent / file if file else path
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in headings}


@pytest.mark.root
def test_the_example_in_python_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= EXAMPLE_LINES
    busybox.archive(str(tmp_path / "busybox.tar"), name="localhost/busybox:latest")
    with Daemon() as daemon:
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env={**os.environ, "WHARFIE_ADDRESS": str(daemon.address)},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
    assert done.stdout == "0 b'hi\\n'\nb'0\\n'\n", done.stderr
