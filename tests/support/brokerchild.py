"""The processes of `tests.support.broker`: the real router, or the real worker loop with a service of echoes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from actors.call import Call, Pass, Reply, Result, handles
from actors.control import Control
from actors.worker import Worker
from config.load import load
from wharfie import errors
from wharfie.types import content, namespaces, snapshots, tasks
from wharfie.types.base import Empty


class Echo:
    """Handlers of every shape; what they do hangs on the request, so that a test can ask for a death."""

    def __init__(self, worker: Worker, directory: str) -> None:
        self._worker = worker
        self._directory = directory

    def _note(self, what: str) -> None:
        with open(f"{self._directory}/notes", "a") as notes:
            notes.write(f"{what}\n")

    @handles("namespaces.get")
    def get(self, call: Call, request: namespaces.Get) -> namespaces.Namespace:
        return namespaces.Namespace(name=request.name, labels={"attempt": str(call.attempt), "uid": str(call.uid)})

    @handles("namespaces.create")
    def create(self, call: Call, request: namespaces.Create) -> namespaces.Namespace:
        self._note(f"create {request.name} attempt={call.attempt} key={call.key}")
        if request.name == "poison" or (request.name == "die-once" and call.attempt == 1):
            os.kill(os.getpid(), signal.SIGSEGV)
        if request.name == "taken":
            raise errors.AlreadyExists("namespace 'taken' exists")
        if request.name == "bug":
            raise ZeroDivisionError("a bug")
        if request.name == "no-answer":
            return object()  # type: ignore[return-value]
        return namespaces.Namespace(name=request.name)

    @handles("namespaces.delete")
    async def delete(self, call: Call, request: namespaces.Delete) -> Empty:
        self._note(f"delete {request.name} key={call.key}")
        await asyncio.sleep(float(request.name.removeprefix("slow-")) / 1000)
        return Empty()

    @handles("content.read")
    async def read(self, call: Call, request: content.Read) -> AsyncIterator[Any]:
        self._note(f"read {request.offset}")
        for offset in range(request.offset, request.offset + request.size):
            yield Reply(content.Chunk(offset=offset), [bytes([offset % 256])])
        yield Result(Empty())

    @handles("content.write")
    async def write(self, call: Call, request: content.Write) -> content.Status:
        return content.Status(ref=request.ref, offset=sum(len(part) for part in call.payload))

    @handles("tasks.wait")
    async def wait(self, call: Call, request: tasks.Wait) -> tasks.Exit:
        self._note(f"wait {request.container_id} attempt={call.attempt}")
        gate = f"{self._directory}/{request.container_id}"
        while not os.path.exists(gate):  # noqa: ASYNC110 - the test makes the file
            await asyncio.sleep(0.005)
        return tasks.Exit(container_id=request.container_id, exit_status=7)

    @handles("snapshots.commit")
    async def commit(self, call: Call, request: snapshots.Commit) -> Empty:
        """One worker asking another."""
        answer = await self._worker.call("namespaces.get", namespaces.Get(name=request.key), namespaces.Namespace)
        assert answer.name == request.key
        return Empty()

    @handles("snapshots.prepare")
    def prepare(self, call: Call, request: snapshots.Prepare) -> Pass:
        """One worker passing its request on to another, or to nobody."""
        self._note(f"prepare {request.key} attempt={call.attempt} key={call.key}")
        if request.key == "in-a-circle":
            return Pass("metadata.snapshot_get", request)
        if request.key == "not-internal":
            return Pass("content.abort", request)
        return Pass("snapshot.make", request)

    @handles("snapshot.make")
    async def make(self, call: Call, request: snapshots.Prepare) -> snapshots.Mounts:
        """The end of a request that another worker began."""
        self._note(f"make {request.key} attempt={call.attempt} key={call.key} uid={call.uid}")
        if request.key == "die-once" and call.attempt == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if request.key == "taken":
            raise errors.AlreadyExists("snapshot 'taken' exists")
        while request.key == "gate" and not os.path.exists(f"{self._directory}/gate"):  # noqa: ASYNC110 - the test makes it
            await asyncio.sleep(0.005)
        return snapshots.Mounts(mounts=[])


def main() -> None:
    role, directory, generation, fd, overrides = sys.argv[1:]
    settings = load(
        None,
        flags={"root": f"{directory}/root", "state": f"{directory}/state", **msgspec.json.decode(overrides)},
        environ={},
    ).settings
    control = Control(socket.socket(fileno=int(fd)), name=role, generation=int(generation))
    if role == "router":
        from supervisor.router import main as route

        route(control, settings)
        return
    worker = Worker(
        name=role,
        generation=int(generation),
        control=control,
        backend=f"{directory}/state/i/backend.sock",
        heartbeat_s=0.5,
    )
    worker.add(Echo(worker, directory))

    async def start() -> dict[str, Any]:
        return {}

    worker.run(start)


if __name__ == "__main__":
    main()
