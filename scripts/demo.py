"""`make demo`: a container survives the death of every process of the daemon, and no request fails.

Starts a daemon on a throw-away root on tmpfs, imports an image that it makes itself, runs a container; then, with one
container running and a client asking in a loop, kills each process with signal 9, the supervisor at last. Exit code 0
only if all of it held and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import wharfie
from bench.make_image import make_layers, write_archive
from linux import mount, mountinfo, procfs
from wharfie.types.base import Empty
from wharfie.types.tasks import Exit, Status

BIN = Path(sys.executable).parent
SHM = "/dev/shm"
BUSYBOX = "/bin/busybox"
IMAGE = "localhost/busybox:latest"
EXIT_CODE = 42
# Says that it runs, and ends with a code of its own when it is told to.
PROGRAM = f"echo started; trap 'exit {EXIT_CODE}' TERM; sleep 1000000 & wait"
PATIENCE_S = 30.0


class Failed(Exception):
    """A promise was not kept."""


def say(text: str = "") -> None:
    print(text, flush=True)


def check(condition: object, sentence: str) -> None:
    if not condition:
        raise Failed(sentence)


def ms(since_s: float) -> str:
    return f"{(time.monotonic() - since_s) * 1000:.1f} ms"


class Daemon:
    """The daemon on its throw-away directory, and the command line that talks to it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.address = f"{directory}/state/wharfie.sock"
        self.namespace = f"demo-{os.getpid()}"
        self.log = f"{directory}/log"
        # Whoever descends from us has this in its environment, shims that were set free included.
        self.mark = f"WHARFIE_DEMO={self.namespace}"
        self._environment = {
            **os.environ,
            "WHARFIE_DEMO": self.namespace,
            "WHARFIE_ADDRESS": self.address,
            "WHARFIE_NAMESPACE": self.namespace,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as systemd would."""
        command = [f"{BIN}/wharfied", "--root", f"{self.directory}/root", "--state", f"{self.directory}/state"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL, stderr=log)

    def connect(self) -> wharfie.Client:
        return wharfie.connect(self.address, namespace=self.namespace, connect_timeout_s=PATIENCE_S)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `wharfie` with these arguments."""
        return subprocess.run(
            [BIN / "wharfie", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def processes(self) -> dict[int, str]:
        """Every process that descends from this demo's daemons, by pid."""
        found = {}
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and self.mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found[int(name)] = procfs.name(int(name))
        return found

    def groups(self) -> list[str]:
        """Control groups of this demo's containers."""
        roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
        return [str(path) for root in roots if (path := root / "wharfie" / self.namespace).is_dir()]


class Asker(threading.Thread):
    """The client that asks in a loop: one request to each part of the daemon in turn, each of which has to succeed."""

    def __init__(self, daemon: Daemon, questions: dict[str, Callable[[wharfie.Client], object]]) -> None:
        super().__init__(name="asker", daemon=True)
        self._daemon = daemon
        self._questions = questions
        self._over = threading.Event()
        self.answered = 0
        self.slowest_s = 0.0
        self.failures: list[str] = []

    def run(self) -> None:
        with self._daemon.connect() as client:
            while not self._over.is_set():
                for name, question in self._questions.items():
                    asked_s = time.monotonic()
                    try:
                        question(client)
                        self.answered += 1
                    except wharfie.WharfieError as error:
                        self.failures.append(f"{name}: {error.code}: {error}")
                    self.slowest_s = max(self.slowest_s, time.monotonic() - asked_s)

    def finish(self) -> None:
        self._over.set()
        self.join(PATIENCE_S)
        check(not self.is_alive(), "the asking client still waits for an answer")


class Waiter(threading.Thread):
    """One call of `wait`, made before the first kill and answered after the last."""

    def __init__(self, daemon: Daemon, container_id: str) -> None:
        super().__init__(name="waiter", daemon=True)
        self._daemon = daemon
        self._container_id = container_id
        self.exit: Exit | None = None
        self.error: wharfie.WharfieError | None = None

    def run(self) -> None:
        with self._daemon.connect() as client:
            try:
                self.exit = client.tasks.wait(self._container_id)
            except wharfie.WharfieError as error:
                self.error = error


def questions_of(container: wharfie.Container) -> dict[str, Callable[[wharfie.Client], object]]:
    """For each process a request that only it can answer."""
    id_, key = container.id, container.record.snapshot_key
    return {
        "content": lambda client: client.content.statuses(),
        "metadata": lambda client: client.containers.get(id_),
        "snapshot": lambda client: client.snapshots.mounts(key),
        "runtime": lambda client: client.tasks.get(id_),
        "transfer": lambda client: client._caller.call("transfer.ping", Empty(), Empty),
        "router": lambda client: client.version(),
    }


def boot(daemon: Daemon) -> None:
    started_s = time.monotonic()
    daemon.start()
    with daemon.connect() as client:
        version = client.version().version
        questions = (client.content.statuses, client.images.list, client.tasks.list, client.supervisor.list)
        for question in questions:
            question()
        say(f"wharfied {version} answers {ms(started_s)} after its start; its processes:")
        for actor in client.supervisor.list():
            say(f"    {actor.name:<10} pid {actor.pid}")
    say()


def import_image(daemon: Daemon) -> None:
    archive = f"{daemon.directory}/busybox.tar"
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    with open(archive, "wb") as target:
        layers = make_layers(files=0, total=0, layers=1, busybox=BUSYBOX, seed=1, level=6)
        write_archive(target, layers, name=IMAGE, architecture=architecture)
    started_s = time.monotonic()
    done = daemon.command("import", archive)
    check(done.returncode == 0, f"wharfie import failed: {done.stderr}")
    say(f"wharfie import busybox.tar       {ms(started_s)}   ({os.path.getsize(archive) >> 10} KiB)")


def run_container(daemon: Daemon) -> None:
    started_s = time.monotonic()
    done = daemon.command("run", "--rm", IMAGE, "echo", "hello from a container")
    check(done.returncode == 0, f"wharfie run failed with {done.returncode}: {done.stderr}")
    check(done.stdout == "hello from a container\n", f"the container said {done.stdout!r}")
    say(f"wharfie run --rm … echo          {ms(started_s)}   it said: {done.stdout.rstrip()}")
    done = daemon.command("run", "--rm", IMAGE, "sh", "-c", "exit 7")
    check(done.returncode == 7, f"exit code 7 became {done.returncode}: {done.stderr}")
    say("wharfie run --rm … sh -c 'exit 7'   exit code 7")
    say()


def start_container(client: wharfie.Client) -> wharfie.Container:
    container = client.containers.create(IMAGE, ["sh", "-c", PROGRAM])
    task = container.start()
    # It has set its trap when it has said so.
    for piece in client.tasks.logs(container.id, follow=True, timeout_s=PATIENCE_S):
        if b"started" in bytes(piece):
            break
    say(f"container {container.id[:12]} runs, pid {task.pid}; a client asks every process in a loop")
    say()
    return container


def kill_each(daemon: Daemon, client: wharfie.Client, container: wharfie.Container, asker: Asker) -> None:
    pid = container.task.state().pid
    started = procfs.start_time(pid)
    say("killed with signal 9   next answer   container   requests   failed")
    for name, question in questions_of(container).items():
        before = next(actor for actor in client.supervisor.list() if actor.name == name)
        killed_s = time.monotonic()
        os.kill(before.pid, signal.SIGKILL)
        question(client)
        took = ms(killed_s)
        after = next(actor for actor in client.supervisor.list() if actor.name == name)
        check(after.pid != before.pid, f"'{name}' still has pid {after.pid}")
        report(name, took, container, pid, started, asker)
    assert daemon.process is not None
    killed_s = time.monotonic()
    daemon.process.kill()
    daemon.process.wait()
    daemon.start()
    client.tasks.get(container.id)
    report("supervisor (all)", ms(killed_s), container, pid, started, asker)
    say()


def report(name: str, took: str, container: wharfie.Container, pid: int, started: int, asker: Asker) -> None:
    check(procfs.is_alive(pid, started=started), f"the container died with '{name}'")
    state = container.task.state()
    check(state.status is Status.RUNNING, f"after '{name}' the container is said to be {state.status}")
    check(state.pid == pid, f"after '{name}' the container's pid is said to be {state.pid}, it is {pid}")
    before = asker.answered
    until(lambda: asker.answered > before + len(questions_of(container)), "the asking client gets answers")
    check(not asker.failures, f"requests failed: {asker.failures}")
    say(f"    {name:<17} {took:>12}   runs        {asker.answered:>8}   {len(asker.failures):>6}")


def until(condition: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        check(time.monotonic() < end_s, f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.005)


def finish_container(client: wharfie.Client, container: wharfie.Container, waiter: Waiter) -> None:
    container.task.kill("TERM")
    waiter.join(PATIENCE_S)
    check(waiter.error is None, f"wait failed: {waiter.error}")
    check(waiter.exit is not None, "wait did not answer")
    assert waiter.exit is not None
    code = waiter.exit.exit_status
    check(code == EXIT_CODE, f"the exit code is {code}, must be {EXIT_CODE}")
    say(f"the container was told to end: exit code {code}, as told by a `wait` from before the first kill")
    container.delete()
    client.images.delete(IMAGE)


def stop_and_look(daemon: Daemon, files_before: set[str]) -> None:
    started_s = time.monotonic()
    code = daemon.stop()
    check(code == 0, f"wharfied ended with {code}")
    say(f"wharfied stopped in {ms(started_s)}")
    until(lambda: not daemon.processes(), "every process has ended")
    mounts = [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), daemon.directory)]
    check(not mounts, f"left mounted: {mounts}")
    check(not containers_in(daemon), f"control groups left: {containers_in(daemon)}")
    check(not os.path.exists(daemon.address), "the socket is left")
    left = [str(path) for path in Path(daemon.directory, "state", "tasks", daemon.namespace).glob("*")]
    check(not left, f"bundles left: {left}")
    files = set(os.listdir(SHM)) - files_before - {os.path.basename(daemon.directory)}
    files = {name for name in files if name.startswith("wharfie-")}
    check(not files, f"left in {SHM}: {sorted(files)}")
    say("nothing is left: no process, no mount, no control group of a container, no socket, no bundle")


def containers_in(daemon: Daemon) -> list[str]:
    return [str(path) for group in daemon.groups() for path in Path(group).iterdir() if path.is_dir()]


@contextlib.contextmanager
def throw_away() -> Iterator[str]:
    """A directory on tmpfs; whatever happened, it is gone at the end, and who held it too."""
    directory = tempfile.mkdtemp(prefix="wharfie-demo-", dir=SHM)
    try:
        yield directory
    finally:
        mount.unmount_beneath(directory, flags=mount.MNT_DETACH)
        shutil.rmtree(directory)


def clear_up(daemon: Daemon) -> None:
    """After a failure: end what still runs, containers first; after a success there is nothing."""
    for group in daemon.groups():
        for procs in Path(group).rglob("cgroup.procs"):
            for number in procs.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.process.kill()
        daemon.process.wait()
    for pid in daemon.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not daemon.processes(), "every process has ended")
    for group in daemon.groups():
        for path in sorted(Path(group).rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
        with contextlib.suppress(OSError):
            Path(group).rmdir()


def story(daemon: Daemon, files_before: set[str]) -> None:
    boot(daemon)
    import_image(daemon)
    run_container(daemon)
    with daemon.connect() as client:
        container = start_container(client)
        waiter = Waiter(daemon, container.id)
        waiter.start()
        asker = Asker(daemon, questions_of(container))
        asker.start()
        kill_each(daemon, client, container, asker)
        asker.finish()
        check(not asker.failures, f"requests failed: {asker.failures}")
        say(f"{asker.answered} requests were answered, none failed, the slowest took {asker.slowest_s * 1000:.0f} ms")
        finish_container(client, container, waiter)
    stop_and_look(daemon, files_before)


def main() -> int:
    """Tell the story; 0 when every promise was kept."""
    for missing, sentence in (
        (os.geteuid() != 0, "the demo runs real containers: run it as root"),
        (shutil.which("runc") is None, "runc is not on PATH: install the package 'runc'"),
        (not os.path.exists(BUSYBOX), f"{BUSYBOX} is missing: install the package 'busybox-static'"),
    ):
        if missing:
            sys.stderr.write(f"wharfie: {sentence}\n")
            return 1
    files_before = set(os.listdir(SHM))
    with throw_away() as directory:
        daemon = Daemon(directory)
        try:
            story(daemon, files_before)
        except (Failed, wharfie.WharfieError, OSError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"\nthe demo failed: {error}\n\nthe end of the daemon's log:\n{tail(daemon.log)}\n")
            return 1
        finally:
            clear_up(daemon)
    say("everything held")
    return 0


def tail(path: str, lines: int = 40) -> str:
    with contextlib.suppress(OSError), open(path, errors="replace") as file:
        return "".join(file.readlines()[-lines:])
    return ""


if __name__ == "__main__":
    sys.exit(main())
