"""Both daemons on throw-away roots on tmpfs, started and ended by this program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUIET = subprocess.DEVNULL


def wait_for(predicate: Callable[[], bool], *, seconds: float = 20.0) -> float:
    """Poll until true; seconds that it took."""
    start = time.perf_counter()
    while not predicate():
        if time.perf_counter() - start > seconds:
            raise TimeoutError(f"{predicate} stayed false")
        time.sleep(0.001)
    return time.perf_counter() - start


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Wharfied:
    """Ours. The restart limit is lifted, since the bench kills far more than an operator would."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.address = f"{directory}/state/wharfie.sock"
        self.config = f"{directory}/config.toml"
        with open(self.config, "w") as file:
            file.write(f'root = "{directory}/root"\nstate = "{directory}/state"\n[supervisor]\nintensity = 1000000\n')
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; seconds from the program's start to its first answer."""
        import wharfie

        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.main", "--config", self.config],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ROOT},
            stdout=QUIET,
            stderr=open(f"{self.directory}/log", "ab"),  # noqa: SIM115
        )
        wait_for(lambda: os.path.exists(self.address))
        with wharfie.connect(self.address) as client:
            client.version()
            while any(actor.state != "ready" for actor in client.supervisor.list()):
                time.sleep(0.001)
        return time.perf_counter() - start

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            import wharfie

            with wharfie.connect(self.address) as client:
                for container in client.containers.list():
                    container.delete(force=True)
                wait_for(lambda: not os.listdir(f"{self.directory}/state/s"))
            end(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def cli(self, *arguments: str) -> list[str]:
        return [os.path.join(os.path.dirname(sys.executable), "wharfie"), "-a", self.address, *arguments]


class Containerd:
    """Debian's containerd, without CRI."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.address = f"{directory}/containerd.sock"
        with open(f"{directory}/config.toml", "w") as file:
            file.write(
                f'version = 2\nroot = "{directory}/root"\nstate = "{directory}/state"\n'
                'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                f'[grpc]\naddress = "{self.address}"\n'
            )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        start = time.perf_counter()
        self.process = subprocess.Popen(
            ["containerd", "--config", f"{self.directory}/config.toml"],
            stdout=QUIET,
            stderr=open(f"{self.directory}/log", "ab"),  # noqa: SIM115
        )
        version = self.ctr("version")
        wait_for(
            lambda: (
                os.path.exists(self.address)
                and subprocess.run(version, stdout=QUIET, stderr=QUIET, check=False).returncode == 0
            )
        )
        return time.perf_counter() - start

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            listed = subprocess.run(self.ctr("task", "ls", "-q"), capture_output=True, text=True, check=False).stdout
            for task in listed.split():
                subprocess.run(self.ctr("task", "rm", "-f", task), stdout=QUIET, stderr=QUIET, check=False)
            end(self.process)
        with contextlib.suppress(OSError):
            subprocess.run(["umount", "-R", f"{self.directory}/state"], stderr=QUIET, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def ctr(self, *arguments: str) -> list[str]:
        return ["ctr", "-a", self.address, *arguments]


def version_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()[0].strip()
