"""A real shim for tests: forked from the test, driven over its socket, with busybox containers on tmpfs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from linux import pidfd, unixsocket
from linux.mount import unmount_beneath
from linux.mountinfo import read as read_mounts
from linux.prctl import set_child_subreaper
from shim import birth, protocol
from shim.protocol import Ack, Event, Failure, Reply, Request, Stdio, decode_from_shim, encode
from shim.runtime import read_pid
from tests.support.bundle import make_rootfs, remove_cgroups
from tests.support.wait import until
from wharfie.oci.image_config import ImageConfig
from wharfie.oci.options import SpecOptions
from wharfie.oci.spec import build_spec, cgroups_path

RUNC = "/usr/sbin/runc"
DEADLINE_S = 20.0


class ShimRefused(Exception):
    """The shim answered with an error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.code = failure.code
        self.message = failure.message
        self.reason = failure.details.get("reason", "")


class ShimClient:
    """One connection; collects the events that come between the answers."""

    def __init__(self, path: str) -> None:
        self._socket = unixsocket.connect(path, timeout_s=DEADLINE_S)
        self._socket.settimeout(DEADLINE_S)
        self._next_id = 0
        self._answers: dict[int, Reply | Failure] = {}
        self.events: list[Event] = []
        self.is_acking = True

    def send(self, method: str, body: msgspec.Struct | None = None, *, key: str = "") -> int:
        self._next_id += 1
        raw = msgspec.Raw(encode(body)) if body is not None else msgspec.Raw(b"\x80")
        unixsocket.send(self._socket, encode(Request(id=self._next_id, method=method, key=key, body=raw)))
        return self._next_id

    def receive(self) -> None:
        """Take one message."""
        data, fds = unixsocket.recv(self._socket)
        assert not fds
        message = decode_from_shim.decode(data)
        if isinstance(message, Event):
            self.events.append(message)
            if self.is_acking:
                self.ack(message.container_id, message.seq)
        else:
            self._answers[message.id] = message

    def answer(self, request_id: int) -> bytes:
        while request_id not in self._answers:
            self.receive()
        answer = self._answers.pop(request_id)
        if isinstance(answer, Failure):
            raise ShimRefused(answer)
        return bytes(answer.body)

    def call(self, method: str, body: msgspec.Struct | None = None, reply: Any = None, *, key: str = "") -> Any:
        data = self.answer(self.send(method, body, key=key))
        return msgspec.msgpack.decode(data, type=reply) if reply is not None else None

    def connect(self) -> protocol.Connected:
        connected: protocol.Connected = self.call("connect", None, protocol.Connected)
        return connected

    def ack(self, container_id: str, seq: int) -> None:
        unixsocket.send(self._socket, encode(Ack(container_id=container_id, seq=seq)))

    def wait_event(self, topic: str, **fields: Any) -> Event:
        """The first event of this topic with these fields, past or to come."""
        position = 0
        while True:
            for event in self.events[position:]:
                if event.topic == topic and fields.items() <= event.event.items():
                    return event
            position = len(self.events)
            self.receive()

    def topics(self, container_id: str) -> list[str]:
        return [event.topic for event in self.events if event.container_id == container_id]

    def close(self) -> None:
        self._socket.close()


class ShimHarness:
    """A directory with a root file system, one shim at a time, and clients. Leaves nothing behind."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.namespace = f"shim-{uuid.uuid4().hex[:6]}"
        self.socket_path = f"{directory}/s"
        # As the supervisor is: what a dead shim leaves comes home to us.
        set_child_subreaper()
        self.rootfs = make_rootfs(f"{directory}/lower")
        self.pid = 0
        self.pidfd = -1
        self.client: ShimClient = None  # type: ignore[assignment]
        self._clients: list[ShimClient] = []
        self._bundles: list[str] = []
        self._orphaned_group = 0

    def start(self) -> ShimClient:
        """Fork a shim and connect to it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket_path)
        listener = unixsocket.listen(self.socket_path)
        args = encode(
            protocol.ShimStart(
                namespace=self.namespace,
                id="test",
                runtime=RUNC,
                runtime_root=f"{self.directory}/runc",
                log=f"{self.directory}/shim.log",
            )
        )
        self.pid = birth.fork_shim(args, [listener.fileno()])
        listener.close()
        self.pidfd = os.pidfd_open(self.pid)
        self.client = self.connect()
        self.client.connect()
        return self.client

    def connect(self) -> ShimClient:
        client = ShimClient(self.socket_path)
        self._clients.append(client)
        return client

    def kill_shim(self) -> None:
        """Kill the shim alone, at whatever it is doing."""
        os.kill(self.pid, signal.SIGKILL)
        self._orphaned_group = self.pid
        self.wait_shim()

    def _end_runtimes(self) -> None:
        """A runtime that the shim had started goes on without it; end it before its container is cleaned up."""
        if self._orphaned_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._orphaned_group, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-self._orphaned_group, 0)

    def wait_shim(self) -> int:
        assert pidfd.exited(self.pidfd, timeout_s=DEADLINE_S)
        status = pidfd.reap(self.pidfd)
        os.close(self.pidfd)
        self.pid, self.pidfd = 0, -1
        assert status is not None
        return status.code

    def bundle(
        self,
        *args: str,
        container_id: str = "",
        change: Callable[[dict[str, Any]], None] = lambda _spec: None,
        **options: Any,
    ) -> str:
        """A bundle for this command; returns the container's id, which is the bundle's name, too."""
        container_id = container_id or f"c{uuid.uuid4().hex[:8]}"
        spec = build_spec(
            ImageConfig(), SpecOptions(args=args, **options), container_id=container_id, namespace=self.namespace
        )
        change(spec)
        path = self.bundle_path(container_id)
        os.makedirs(f"{path}/rootfs")
        with open(f"{path}/config.json", "w", encoding="utf-8") as file:
            json.dump(spec, file)
        self._bundles.append(path)
        return container_id

    def bundle_path(self, container_id: str) -> str:
        return f"{self.directory}/b/{container_id}"

    def create_body(self, container_id: str, *, stdio: Stdio | None = None, **fields: Any) -> protocol.Create:
        relative = cgroups_path(self.namespace, container_id)
        return protocol.Create(
            container_id=container_id,
            bundle=self.bundle_path(container_id),
            rootfs=[protocol.Mount(type="bind", source=self.rootfs, options=["rbind", "ro"])],
            stdio=stdio or Stdio(),
            memory_cgroup=f"/sys/fs/cgroup/memory{relative}",
            cgroup=f"/sys/fs/cgroup/pids{relative}",
            cgroups=[f"{mount.mountpoint}{relative}" for mount in read_mounts() if mount.fstype.startswith("cgroup")],
            **fields,
        )

    def create(
        self, *args: str, stdio: Stdio | None = None, private_pids: bool = True, key: str = "", **options: Any
    ) -> str:
        container_id = self.bundle(*args, **options)
        body = self.create_body(container_id, stdio=stdio, private_pids=private_pids)
        self.client.call("create", body, protocol.Pid, key=key)
        return container_id

    def start_task(self, container_id: str, exec_id: str = "") -> int:
        target = protocol.Target(container_id=container_id, exec_id=exec_id)
        pid: int = self.client.call("start", target, protocol.Pid).pid
        return pid

    def run(self, *args: str, **options: Any) -> str:
        """Create and start."""
        container_id = self.create(*args, **options)
        self.start_task(container_id)
        return container_id

    def exec(self, container_id: str, exec_id: str, *args: str, stdio: Stdio | None = None, **changes: Any) -> None:
        """Register an exec."""
        path = self.bundle_path(container_id)
        with open(f"{path}/config.json", encoding="utf-8") as file:
            process = json.load(file)["process"]
        process.update({"args": list(args), **changes})
        with open(f"{path}/{exec_id}.process.json", "w", encoding="utf-8") as file:
            json.dump(process, file)
        body = protocol.Exec(container_id=container_id, exec_id=exec_id, stdio=stdio or Stdio())
        self.client.call("exec", body)

    def kill(self, container_id: str, number: int = signal.SIGKILL, *, exec_id: str = "", all: bool = False) -> None:  # noqa: A002
        body = protocol.Kill(container_id=container_id, exec_id=exec_id, signal=int(number), all=all)
        self.client.call("kill", body)

    def wait(self, container_id: str, exec_id: str = "") -> int:
        """The exit status, once the exit was told."""
        event = self.client.wait_event("/tasks/exit", container_id=container_id, id=exec_id or container_id)
        status: int = event.event["exit_status"]
        return status

    def delete(self, container_id: str, exec_id: str = "") -> protocol.Exit:
        target = protocol.Target(container_id=container_id, exec_id=exec_id)
        exit_: protocol.Exit = self.client.call("delete", target, protocol.Exit)
        return exit_

    def shutdown(self) -> None:
        """Have the shim end; it does when all is tidied up."""
        self.client.call("shutdown")
        assert self.wait_shim() == 0

    def state(self, container_id: str, exec_id: str = "") -> protocol.ProcessState:
        target = protocol.Target(container_id=container_id, exec_id=exec_id)
        state: protocol.ProcessState = self.client.call("state", target, protocol.ProcessState)
        return state

    def fifo(self, name: str) -> str:
        path = f"{self.directory}/{name}"
        os.mkfifo(path, 0o600)
        return path

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError), open(f"{self.directory}/shim.log", encoding="utf-8") as file:
            return file.read()
        return ""

    def close(self) -> None:
        """Kill and remove whatever the test left; fail when the shim complained of a bug."""
        for client in self._clients:
            client.close()
        if self.pid:
            self.kill_shim()
        self._end_runtimes()
        for bundle in self._bundles:
            _end_process(read_pid(f"{bundle}/init.pid"))
            command = [RUNC, "--root", f"{self.directory}/runc", "delete", "--force", os.path.basename(bundle)]
            os.waitpid(os.posix_spawn(RUNC, command, {}, file_actions=[(os.POSIX_SPAWN_CLOSE, 2)]), 0)
            unmount_beneath(f"{bundle}/rootfs", include_self=True)
        until(lambda: not os.listdir(f"{self.directory}/runc") if os.path.exists(f"{self.directory}/runc") else True)
        set_child_subreaper(enabled=False)
        remove_cgroups(self.namespace)
        assert "bug in" not in self.log(), self.log()


def _end_process(pid: int) -> None:
    """Kill a container's first process and reap it, if it came home to us: runc waits for its zombie to go."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


@contextlib.contextmanager
def reading(path: str) -> Iterator[Callable[[], bytes]]:
    """The reading end of a FIFO, opened at once; the function reads to the end of the stream."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(fd, True)

    def read_all() -> bytes:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)

    try:
        yield read_all
    finally:
        os.close(fd)
