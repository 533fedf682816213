"""Makes the synchronous services of `wharfie` from the asynchronous ones, so that both stay the same.

    python scripts/unasync.py            write wharfie/_sync/*.py
    python scripts/unasync.py --check    fail when they are not what this would write

Only the files of GENERATED are made; channel and streams differ by nature and are written by hand on both sides.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "wharfie" / "_async"
TARGET = ROOT / "wharfie" / "_sync"
GENERATED = (
    "base",
    "client",
    "containers",
    "content",
    "diff",
    "events",
    "imagearchives",
    "imagefacts",
    "imageregistries",
    "gc",
    "images",
    "introspection",
    "leases",
    "namespaces",
    "snapshots",
    "supervisor",
    "tasks",
    "writer",
)
HEADER = "# Made from wharfie/_async/{name}.py by scripts/unasync.py; change that file and run it again.\n"

RULES = (
    (
        r"from collections\.abc import (.*)\bAsyncIterator, (.*)\bIterator, ",
        r"from collections.abc import \1Iterator, \2",
    ),
    (r"from collections\.abc import (.*)\bAsyncIterator\b", r"from collections.abc import \1Iterator"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncClient\b", "Client"),
    (r"wharfie\._async", "wharfie._sync"),
    (r"\basync def\b", "def"),
    (r"\basync for\b", "for"),
    (r"\basync with\b", "with"),
    (r"\bawait ", ""),
    (r"__aenter__", "__enter__"),
    (r"__aexit__", "__exit__"),
    (r"`with` does it", "`with` does it"),
)


def translate(text: str) -> str:
    """The synchronous text of an asynchronous module."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def formatted(text: str) -> str:
    """As `ruff format` leaves it, imports sorted."""
    for command in (["check", "--quiet", "--select", "I,RUF022", "--fix"], ["format", "--quiet"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / "x.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    return text


def main() -> int:
    """Write, or with --check compare."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in GENERATED:
        source = SOURCE / f"{name}.py"
        target = TARGET / f"{name}.py"
        text = HEADER.format(name=name) + formatted(translate(source.read_text()))
        if check and (not target.exists() or target.read_text() != text):
            stale.append(target.name)
        elif not check:
            target.write_text(text)
    if stale:
        sys.stderr.write(f"stale: {', '.join(stale)}; run python scripts/unasync.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
