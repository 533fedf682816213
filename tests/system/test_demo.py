"""`make demo` holds what it says; and says plainly what it needs."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support import sources


def run(*, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.demo"],
        cwd=sources.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )


def test_the_demo_ends_well() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("content", "metadata", "snapshot", "runtime", "transfer", "router", "supervisor"):
        assert f"\n    {name} " in done.stdout
    assert "exit code 42" in done.stdout
    assert done.stdout.endswith("everything held\n")


def test_without_runc_there_is_one_clear_sentence() -> None:
    done = run(environment={**os.environ, "PATH": "/nowhere"})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "wharfie: runc is not on PATH: install the package 'runc'\n"
