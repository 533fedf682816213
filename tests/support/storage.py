"""A real supervisor with the router, metadata, content and snapshot: the daemon without its runtime.

Run as a program of its own (a process that forks must have no ZeroMQ context), on directories of the test's. A test talks
to it as any client does, kills its processes by name, and arms its failpoints.
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
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

import wharfie
from actors import internal
from actors.call import Call, handles
from actors.control import Control
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from linux import mount, procfs
from tests.support import loopfs
from tests.support.failpoints import Failpoints
from tests.support.wait import until

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORKERS = ("metadata", "content", "snapshot", "transfer")
"""In the place of transfer stands `caller`, which asks the others what no client may."""


class Storage:
    """Start with `storage()`; at its end it is checked that no process is left.

    Args:
        directory: gets `root`, `state` and `failpoints`; short, since sockets lie in it.
        overrides: settings by key, `content.read_chunk_bytes`.
    """

    def __init__(self, directory: str, overrides: dict[str, Any] | None = None) -> None:
        self.directory = directory
        self.root = f"{directory}/root"
        self.address = f"{directory}/state/wharfie.sock"
        self.failpoints = Failpoints(f"{directory}/failpoints")
        self._overrides = overrides or {}
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon, as systemd would after its death."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.storage", self.directory, msgspec.json.encode(self._overrides)],
            cwd=REPOSITORY,
            env={**os.environ, **self.failpoints.environment},
        )
        return self.process

    def connect(self, *, namespace: str = "default", timeout_s: float | None = 20.0) -> wharfie.Client:
        """A client; close it."""
        return wharfie.connect(self.address, namespace=namespace, timeout_s=timeout_s)

    def pid(self, name: str) -> int:
        """The process of a worker or the router, once it runs."""

        def running() -> int:
            with self.connect() as client:
                return next(actor.pid for actor in client.supervisor.list() if actor.name == name)

        return until(running)

    def kill(self, name: str) -> None:
        """SIGKILL to a worker or the router; the supervisor starts it again."""
        pid = self.pid(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """SIGKILL to the supervisor, with which everything goes; wait until it has."""
        children = procfs.children(self.process.pid)
        self.process.kill()
        self.process.wait(10)
        until(lambda: not any(procfs.is_alive(pid) for pid in children))

    def kill_all_at(self, point: str) -> threading.Thread:
        """Kill everything once a process has come to a failpoint, and start it again. Join the thread."""
        self.failpoints.arm(point, "stop")

        def kill_when_stopped() -> None:
            self.failpoints.wait_hit(point)
            self.kill_all()
            self.start()

        killer = threading.Thread(target=kill_when_stopped)
        killer.start()
        return killer

    def ingest_file(self, client: wharfie.Client, request: internal.IngestFile) -> internal.Ingested:
        """`content.ingest_file`, as transfer would ask for it on behalf of this client."""
        stream = client.content._caller.stream(
            "transfer.unpack", request, internal.Ingested, resume=lambda asked, *_: asked, timeout_s=20.0
        )
        [(ingested, _)] = list(stream)
        return ingested

    def close(self) -> None:
        """Stop in order."""
        children = procfs.children(self.process.pid) if self.process.poll() is None else []
        self.process.terminate()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        until(lambda: not any(procfs.is_alive(pid) for pid in children))
        assert code == 0


@contextlib.contextmanager
def storage(
    overrides: dict[str, Any] | None = None, *, root_size_bytes: int = 0, btrfs: bool = False
) -> Iterator[Storage]:
    """A running daemon on tmpfs; everything of it goes at the end, and nothing may be left mounted in it.

    Args:
        overrides: settings by key.
        root_size_bytes: give its root a tmpfs of its own, of this size.
        btrfs: give the snapshotter of this name a file system that it can use, if there is one.
    """
    directory = tempfile.mkdtemp(prefix="ws-", dir="/dev/shm")
    root = f"{directory}/root"
    if root_size_bytes:
        os.mkdir(root)
        mount.mount_one("tmpfs", root, fstype="tmpfs", options=[f"size={root_size_bytes}"])
    more = contextlib.ExitStack()
    if btrfs and loopfs.is_supported("btrfs"):
        more.enter_context(loopfs.loop_filesystem("btrfs", f"{root}/snapshots/btrfs"))
    running = Storage(directory, overrides)
    try:
        with running.connect():
            pass
        yield running
    finally:
        try:
            running.close()
        finally:
            more.close()
            if root_size_bytes:
                mount.umount(root)
            left = mount.unmount_beneath(directory, flags=mount.MNT_DETACH)
            shutil.rmtree(directory)
    assert left == []


def main() -> int:
    """The daemon's process."""
    from config import log as log_setup
    from config.load import load
    from config.paths import create_top_directories
    from linux.prctl import set_child_subreaper, set_pdeathsig
    from supervisor import roster
    from supervisor.events import Verb
    from supervisor.inspect import Inspector
    from supervisor.loop import Loop, Signals
    from supervisor.processes import Supervisor
    from wharfie.types.introspection import Server
    from wharfie.types.supervisor import Reloaded

    directory, overrides = sys.argv[1:]
    set_pdeathsig(signal.SIGKILL)
    settings = load(
        None,
        flags={"root": f"{directory}/root", "state": f"{directory}/state", **msgspec.json.decode(overrides)},
        environ={},
    ).settings
    log_setup.configure("warn", "text")
    create_top_directories(Paths.of(settings))
    tree = roster.tree(settings, {"content": ("metadata",), "snapshot": ("metadata",)})
    tree = msgspec.structs.replace(
        tree,
        children=tuple(
            msgspec.structs.replace(spec, start="tests.support.storage:caller") if spec.id == "transfer" else spec
            for spec in tree.children
            if spec.id in ("router", *WORKERS)
        ),
        intensity=1000,
    )
    roster.preload()
    set_child_subreaper()
    loop = Loop()
    supervisor = Supervisor(loop, tree, argument=settings)
    server = Server(
        uuid="", pid=os.getpid(), version="", root=settings.root, state="", address="", started_at_ns=0, uptime_s=0.0
    )
    Inspector(supervisor, server=lambda: server, reload=lambda: Reloaded(applied=[], restart=[]))

    def on_signal(number: int) -> None:
        if number == signal.SIGCHLD:
            supervisor.reap()
        else:
            supervisor.command(Verb.SHUTDOWN, reason="asked by the test")

    signals = Signals(loop, (signal.SIGCHLD, signal.SIGTERM), on_signal)
    supervisor.command(Verb.START, reason="boot")
    outcome = supervisor.run()
    supervisor.close()
    signals.close()
    return 1 if outcome.failed else 0


class CallerService:
    """Passes on what clients ask, as a worker's request."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @handles("transfer.unpack")
    async def ingest_file(self, call: Call, request: internal.IngestFile) -> AsyncIterator[internal.Ingested]:
        """See `Storage.ingest_file`."""
        yield await self._worker.call(
            "content.ingest_file",
            request,
            internal.Ingested,
            namespace=call.namespace,
            key=f"{request.digest}/{request.path}",
        )


def caller(control: Control, settings: Settings) -> None:
    """The process in the place of transfer."""
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=Paths.of(settings).backend_socket,
        heartbeat_s=1.0,
    )
    worker.add(CallerService(worker))

    async def start() -> dict[str, Any]:
        return {}

    worker.run(start)


if __name__ == "__main__":
    sys.exit(main())
