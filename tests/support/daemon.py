"""A whole `wharfied` in a process of its own, on directories of the test, with a notify socket of the test."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from linux import mountinfo, procfs
from tests.support.wait import until

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = "WHARFIE_TEST_SCRIPTS"


class Daemon:
    """`start` it, or use it in a `with` statement, which waits until it is ready.

    Its directories are `root` and `state` below a new directory on tmpfs, removed at the end. With `scripts` (see
    `tests.support.child`) every actor is a scripted one; without, everything is real. At the end it is checked that
    nothing of it is left over: no process, no mount.
    """

    def __init__(
        self,
        *flags: str,
        scripts: Mapping[str, str | list[str]] | None = None,
        config: str = "",
        environment: Mapping[str, str] | None = None,
        watchdog_s: float = 0.0,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wharfied-", dir="/dev/shm"))
        self.root, self.state = self.directory / "root", self.directory / "state"
        self.address = self.state / "wharfie.sock"
        self.config = self.directory / "config.toml"
        self.log_path = self.directory / "log"
        self.config.write_text(config)
        self.flags = flags
        self.scripts = scripts
        self.environment = dict(environment or {})
        self.watchdog_s = watchdog_s
        self.notified: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.directory / "notify"))

    # --- life -----------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        module = "supervisor.main" if self.scripts is None else "tests.support.scriptedd"
        place = ["--config", str(self.config), "--root", str(self.root), "--state", str(self.state)]
        return [sys.executable, "-m", module, *place, *self.flags]

    def variables(self) -> dict[str, str]:
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("NOTIFY_", "WATCHDOG_", "WHARFIE"))}
        variables |= {"NOTIFY_SOCKET": str(self.directory / "notify"), **self.environment}
        if self.watchdog_s:
            variables["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1_000_000))
        if self.scripts is not None:
            variables[SCRIPTS] = json.dumps(self.scripts)
        return variables

    def start(self) -> Self:
        """Start it and do not wait. What it notified before is forgotten."""
        self.notified.clear()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=self.variables(),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_notified("READY=1")
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left: list[int] = []
        mounts: list[str] = []
        try:
            if self.running():
                descendants = self.descendants()
                self.stop()
                left = [pid for pid in descendants if procfs.is_alive(pid)]
            mounts = [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), str(self.directory))]
        finally:
            self._clear()
        if kind is None:
            assert not left, f"processes left over: {left}"
            assert not mounts, f"mounts left over: {mounts}"

    def _clear(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for pid in self.descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        self._notify.close()
        for entry in mountinfo.beneath(mountinfo.read(), str(self.directory)):
            subprocess.run(["umount", "-l", entry.mountpoint], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self, number: int = signal.SIGTERM, *, timeout_s: float = 20.0) -> int:
        """Ask it to end; its exit code."""
        self.send_signal(number)
        return self.wait(timeout_s=timeout_s)

    def kill(self) -> None:
        """SIGKILL to the daemon alone, as the kernel's OOM killer would."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self, *, timeout_s: float = 20.0) -> int:
        """Wait for its end; its exit code, or minus the signal."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    # --- looking --------------------------------------------------------------------------------------------

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_log(self, text: str, *, count: int = 1, deadline_s: float = 10.0) -> None:
        until(lambda: self.log().count(text) >= count, deadline_s=deadline_s)

    def wait_notified(self, state: str, *, count: int = 1, timeout_s: float = 20.0) -> None:
        """Wait until the service manager (this test) has been told `state` so many times."""
        end = time.monotonic() + timeout_s
        while sum(line == state for line in self.notified) < count:
            remaining = end - time.monotonic()
            if not self.running():
                remaining = min(remaining, 0.2)
            readable, _, _ = select.select([self._notify], [], [], max(0.0, min(remaining, 0.5)))
            if readable:
                self.notified += self._notify.recv(4096).decode().splitlines()
            elif time.monotonic() >= end or not self.running():
                raise AssertionError(f"{state} not notified, only {self.notified}; log:\n{self.log()}")

    def take_notified(self) -> list[str]:
        """All that has been notified so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.notified += self._notify.recv(4096, socket.MSG_DONTWAIT).decode().splitlines()
        return self.notified

    def children(self) -> dict[str, int]:
        """Pid by name of the processes directly below the daemon; names as the kernel cuts them."""
        found: dict[str, int] = {}
        for pid in procfs.children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                found[procfs.name(pid)] = pid
        return found

    def descendants(self) -> list[int]:
        found: list[int] = []
        pending: Sequence[int] = [self.pid]
        while pending:
            following: list[int] = []
            for pid in pending:
                with contextlib.suppress(ProcessLookupError):
                    following += procfs.children(pid)
            found += following
            pending = following
        return found
