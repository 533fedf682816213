"""A real router and real worker loops as processes of their own, with the test in the supervisor's place.

Each child is a fresh program (no fork of a process that has a ZeroMQ context), holding its end of a control channel.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from actors import control
from linux import unixsocket
from tests.support.wait import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Child:
    """One process and the supervisor's end of its control channel."""

    def __init__(
        self, role: str, directory: str, *, generation: int = 1, overrides: dict[str, Any] | None = None
    ) -> None:
        ours, theirs = unixsocket.pair()
        self.sock = ours
        self.role = role
        self.generation = generation
        self.messages: list[Any] = []
        arguments = msgspec.json.encode(overrides or {}).decode()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.brokerchild",
                role,
                directory,
                str(generation),
                str(theirs.fileno()),
                arguments,
            ],
            pass_fds=(theirs.fileno(),),
            cwd=ROOT,
        )
        theirs.close()
        self.sock.setblocking(False)

    def poll(self) -> None:
        """Take in what the child has said."""
        while True:
            try:
                data, fds = unixsocket.recv(self.sock)
            except (BlockingIOError, EOFError, ConnectionError):
                return
            for fd in fds:
                os.close(fd)
            self.messages.append(control.decode_from_child(data))

    def heard(self, kind: type[Any]) -> list[Any]:
        """Messages of a kind so far."""
        self.poll()
        return [message for message in self.messages if isinstance(message, kind)]

    def wait_ready(self) -> None:
        until(lambda: self.heard(control.Ready), deadline_s=20)

    def tell(self, message: Any) -> None:
        """Say something as the supervisor would."""
        unixsocket.send(self.sock, control.encode(message))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self.sock.close()


class Broker:
    """A router and the workers started so far."""

    def __init__(self, directory: str, *, overrides: dict[str, Any] | None = None) -> None:
        self.directory = directory
        self.overrides = overrides
        self.address = f"{directory}/state/wharfie.sock"
        for path in ("root", "state", "state/i"):
            os.makedirs(f"{directory}/{path}", exist_ok=True)
        self._generations: dict[str, int] = {}
        self._children: list[Child] = []
        self.router = self.start_router()
        self.workers: dict[str, Child] = {}

    def start_router(self) -> Child:
        self._generations["router"] = generation = self._generations.get("router", 0) + 1
        router = Child("router", self.directory, generation=generation, overrides=self.overrides)
        self._children.append(router)
        router.wait_ready()
        self.router = router
        return router

    def start(self, name: str) -> Child:
        """The next incarnation of the echo worker called `name`."""
        self._generations[name] = generation = self._generations.get(name, 0) + 1
        child = Child(name, self.directory, generation=generation, overrides=self.overrides)
        self._children.append(child)
        child.wait_ready()
        self.workers[name] = child
        return child

    def down(self, name: str, *, blame: bool = True) -> None:
        """Tell the router that an incarnation is gone, as the supervisor would."""
        self.router.tell(control.Down(name=name, generation=self._generations[name], reason="test", blame=blame))

    def close(self) -> None:
        for child in self._children:
            child.close()


@contextmanager
def running(directory: str, **kwargs: Any) -> Iterator[Broker]:
    broker = Broker(directory, **kwargs)
    try:
        yield broker
    finally:
        broker.close()
