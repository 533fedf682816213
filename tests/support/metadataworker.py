"""A real metadata worker process, with the test in the places of the supervisor and of the router.

Run as a program it is that process: `python -m tests.support.metadataworker DIRECTORY GENERATION FD`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import zmq

from actors import control
from linux import unixsocket
from tests.support.metadata import settings_for
from tests.support.wait import until
from wharfie import errors, protocol
from wharfie.protocol import MAGIC, Header, Routed

T = TypeVar("T", bound=msgspec.Struct)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE_MS = 20_000


class Worker:
    """Starts the process, speaks to it, kills it and starts it again."""

    def __init__(self, directory: str, *, environment: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        for name in ("root", "state/i"):
            os.makedirs(f"{directory}/{name}", exist_ok=True)
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.bind(f"ipc://{directory}/state/i/backend.sock")
        self._route = 0
        self.generation = 0

    def start(self) -> None:
        """Start the next incarnation and wait until it says ready and has announced itself."""
        self.launch()
        ready = until(self._poll_ready, deadline_s=20)
        assert ready is not None
        self.ready = ready
        assert self._receive()[1:] == [b""]  # the probe

    def launch(self) -> None:
        """Start the next incarnation and do not wait."""
        self.generation += 1
        self.sock, theirs = unixsocket.pair()
        self.sock.setblocking(False)
        arguments = [self._directory, str(self.generation), str(theirs.fileno())]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.metadataworker", *arguments],
            pass_fds=(theirs.fileno(),),
            cwd=ROOT,
            env=self._environment,
        )
        theirs.close()

    def _poll_ready(self) -> control.Ready | None:
        for message in self.heard():
            if isinstance(message, control.Ready):
                return message
        assert self.process.poll() is None, f"the worker ended with {self.process.returncode}"
        return None

    def heard(self) -> list[Any]:
        """What the process has said to its supervisor since the last call."""
        messages: list[Any] = []
        try:
            while True:
                messages.append(control.decode_from_child(unixsocket.recv(self.sock)[0]))
        except (BlockingIOError, EOFError, ConnectionError):
            return messages

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """Ask it to stop as the supervisor does; its exit code."""
        unixsocket.send(self.sock, control.encode(control.Stop(reason="test")))
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(20)
        self.sock.close()
        return code

    def close(self) -> None:
        if self.generation and self.process.poll() is None:
            self.kill()
        self._router.close()
        self._context.term()

    # -- the router's part -------------------------------------------------------------------------------------------

    def send(
        self, method: str, request: msgspec.Struct, *, namespace: str = "ci", key: str = "", credits_: int = 0
    ) -> int:
        """Send a request; its route."""
        self._route += 1
        header = Routed(
            id=self._route,
            method=method,
            namespace=namespace,
            key=key,
            credits=credits_,
            deadline_ns=time.monotonic_ns() + DEADLINE_MS * 10**6,
        )
        self._post(header, protocol.encode(request))
        return self._route

    def grant(self, route: int, credits_: int) -> None:
        """More credits for a stream."""
        self._post(Routed(id=route, kind="credit", credits=credits_), b"\x80")

    def cancel(self, route: int) -> None:
        """The client takes a request back."""
        self._post(Routed(id=route, kind="cancel"), b"\x80")

    def _post(self, header: Routed, body: bytes) -> None:
        self._router.send_multipart([f"metadata#{self.generation}".encode(), MAGIC, protocol.encode(header), body])

    def answer(self) -> tuple[Header, bytes]:
        """The next answer of any route; what the worker asks of others (its collector does) is passed over."""
        frames = self._receive()
        while protocol.decode_header(frames[2]).kind == "request":
            frames = self._receive()
        return protocol.decode_header(frames[2]), frames[3]

    def drop_answers(self) -> None:
        """Throw away what a dead incarnation had sent and nobody read."""
        while self._router.poll(0):
            self._router.recv_multipart()

    def _receive(self) -> list[bytes]:
        assert self._router.poll(DEADLINE_MS), "no answer"
        return self._router.recv_multipart()

    def call(self, method: str, request: msgspec.Struct, reply: type[T], *, namespace: str = "ci", key: str = "") -> T:
        """Ask and wait. Raises: what the worker answered."""
        route = self.send(method, request, namespace=namespace, key=key)
        header, body = self.answer()
        assert header.id == route
        if header.kind == "error":
            raise errors.from_wire(msgspec.msgpack.decode(body))
        return msgspec.msgpack.decode(body, type=reply)


@contextmanager
def worker_in(directory: str, *, environment: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """A worker on the database of a directory; not started yet."""
    worker = Worker(directory, environment=environment)
    try:
        yield worker
    finally:
        worker.close()


def _run(directory: str, generation: str, descriptor: str) -> None:
    from actors.metadata.main import main

    channel = socket.socket(fileno=int(descriptor))
    main(control.Control(channel, name="metadata", generation=int(generation)), settings_for(directory))


if __name__ == "__main__":
    _run(*sys.argv[1:])
