"""`wharfie` as a user runs it: a whole process with its own streams, against a daemon of the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

PROGRAM = (
    # As in a terminal: the tests themselves may run in the background of a shell, which has SIGINT ignored.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "import sys; from wharfie._entry import cli; sys.argv[0] = 'wharfie'; sys.exit(cli())"
)


class Ended(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs `wharfie` in a namespace of a daemon."""

    def __init__(self, address: str, namespace: str) -> None:
        self.address = address
        self.namespace = namespace

    def variables(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        ours = {"WHARFIE_ADDRESS": self.address, "WHARFIE_NAMESPACE": self.namespace}
        return {**os.environ, **ours, **(extra or {})}

    def start(self, *arguments: str, stdin: Any = subprocess.DEVNULL, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Begin one and do not wait; its outputs are pipes."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=self.variables(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **kwargs,
        )

    def run(
        self, *arguments: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None, timeout_s: float = 40
    ) -> Ended:
        """Run one to its end."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=self.variables(env),
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run one that has to succeed; what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, done
        return done.out

    def json(self, *arguments: str) -> Any:
        """Run one that has to succeed with --json; what it printed, decoded."""
        return json.loads(self.ok(*arguments, "--json"))
