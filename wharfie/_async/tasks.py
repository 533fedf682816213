"""`client.tasks`: the running processes of containers, and `Task`, one of them."""

from __future__ import annotations

import builtins
import signal as signals
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from wharfie._async.base import UNSET, Caller, Service
from wharfie.types import tasks as t
from wharfie.types.base import Mount


def signal_number(signal: int | str) -> int:
    """A signal's number from its number or its name, with or without `SIG`."""
    if isinstance(signal, int):
        return int(signal)
    if signal.isdigit():
        return int(signal)
    name = signal.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name.startswith("SIGRTMIN+") and name[9:].isdigit():
        return int(signals.SIGRTMIN) + int(name[9:])
    try:
        return int(signals.Signals[name])
    except KeyError:
        from wharfie.errors import InvalidArgument

        raise InvalidArgument(f"signal '{signal}' is unknown", details={"field": "signal"}) from None


class Tasks(Service):
    """The tasks of a namespace. The init process of a container has an empty `exec_id`."""

    async def create(
        self,
        container_id: str,
        *,
        stdio: t.Stdio | None = None,
        rootfs: Sequence[Mount] = (),
        options: Mapping[str, Any] | None = None,
        timeout_s: float | None = UNSET,
    ) -> Task:
        """Make a container's task; nothing runs yet. A create that fails leaves nothing."""
        request = t.Create(
            container_id=container_id, stdio=stdio or t.Stdio(), rootfs=[*rootfs], options=dict(options or {})
        )
        created = await self._caller.call("tasks.create", request, t.Created, timeout_s=timeout_s)
        return Task(self._caller, container_id, pid=created.pid)

    async def start(self, container_id: str, *, exec_id: str = "", timeout_s: float | None = UNSET) -> int:
        """Start the init process or an exec; returns its pid."""
        request = t.Start(container_id=container_id, exec_id=exec_id)
        return (await self._caller.call("tasks.start", request, t.Created, timeout_s=timeout_s)).pid

    async def get(self, container_id: str, *, exec_id: str = "", timeout_s: float | None = UNSET) -> t.Process:
        """A process's state."""
        request = t.Get(container_id=container_id, exec_id=exec_id)
        return await self._caller.call("tasks.get", request, t.Process, timeout_s=timeout_s)

    async def list(self, *, timeout_s: float | None = UNSET) -> builtins.list[t.Process]:
        """Every task of the namespace; one whose shim is slow has status `unknown`."""
        return (await self._caller.call("tasks.list", t.List(), t.Listing, timeout_s=timeout_s)).tasks

    async def kill(
        self,
        container_id: str,
        signal: int | str = 15,
        *,
        exec_id: str = "",
        all: bool = False,  # noqa: A002 - containerd's name
        timeout_s: float | None = UNSET,
    ) -> None:
        """Send a signal.

        Raises:
            NotFound: the process has finished.
        """
        request = t.Kill(container_id=container_id, exec_id=exec_id, signal=signal_number(signal), all=all)
        await self._caller.tell("tasks.kill", request, timeout_s=timeout_s)

    async def exec(
        self,
        container_id: str,
        exec_id: str,
        process: Mapping[str, Any],
        *,
        stdio: t.Stdio | None = None,
        timeout_s: float | None = UNSET,
    ) -> None:
        """Register another process (an OCI `process` object); `start` starts it."""
        request = t.Exec(container_id=container_id, exec_id=exec_id, process=dict(process), stdio=stdio or t.Stdio())
        await self._caller.tell("tasks.exec", request, timeout_s=timeout_s)

    async def delete(
        self,
        container_id: str,
        *,
        exec_id: str = "",
        force: bool = False,
        keep_log: bool = False,
        timeout_s: float | None = UNSET,
    ) -> t.Exit:
        """Remove a stopped process; `force` kills it first, `keep_log` leaves its log. Returns how it ended."""
        request = t.Delete(container_id=container_id, exec_id=exec_id, force=force, keep_log=keep_log)
        return await self._caller.call("tasks.delete", request, t.Exit, timeout_s=timeout_s)

    async def wait(self, container_id: str, *, exec_id: str = "", timeout_s: float | None = None) -> t.Exit:
        """Wait until a process has ended; survives the death of any part of the daemon."""
        request = t.Wait(container_id=container_id, exec_id=exec_id)
        return await self._caller.call("tasks.wait", request, t.Exit, timeout_s=timeout_s)

    async def pids(self, container_id: str, *, timeout_s: float | None = UNSET) -> builtins.list[t.ProcessPid]:
        """The pids of all processes of a container, as the host sees them."""
        request = t.GetPids(container_id=container_id)
        return (await self._caller.call("tasks.pids", request, t.Pids, timeout_s=timeout_s)).processes

    async def close_io(self, container_id: str, *, exec_id: str = "", timeout_s: float | None = UNSET) -> None:
        """The process sees the end of its stdin."""
        request = t.CloseIO(container_id=container_id, exec_id=exec_id)
        await self._caller.tell("tasks.close_io", request, timeout_s=timeout_s)

    async def logs(
        self, container_id: str, *, offset: int = 0, follow: bool = False, timeout_s: float | None = None
    ) -> AsyncIterator[memoryview | bytes]:
        """The bytes of a task's log file; with `follow` until the task ends."""
        request = t.Logs(container_id=container_id, offset=offset, follow=follow)
        async for _, data in self._caller.stream(
            "tasks.logs", request, t.LogChunk, resume=_behind, timeout_s=timeout_s
        ):
            yield data


class Task:
    """A container's task, or an exec in it."""

    def __init__(self, caller: Caller, container_id: str, *, exec_id: str = "", pid: int = 0) -> None:
        self._tasks = Tasks(caller)
        self._caller = caller
        self.container_id = container_id
        self.exec_id = exec_id
        self.pid = pid

    def __repr__(self) -> str:
        exec_id = f", exec_id={self.exec_id!r}" if self.exec_id else ""
        return f"Task({self.container_id!r}{exec_id}, pid={self.pid})"

    async def start(self, *, timeout_s: float | None = UNSET) -> int:
        """Start it; returns the pid."""
        self.pid = await self._tasks.start(self.container_id, exec_id=self.exec_id, timeout_s=timeout_s)
        return self.pid

    async def state(self, *, timeout_s: float | None = UNSET) -> t.Process:
        """Its state now."""
        return await self._tasks.get(self.container_id, exec_id=self.exec_id, timeout_s=timeout_s)

    async def kill(self, signal: int | str = 15, *, all: bool = False, timeout_s: float | None = UNSET) -> None:  # noqa: A002
        """Send it a signal."""
        await self._tasks.kill(self.container_id, signal, exec_id=self.exec_id, all=all, timeout_s=timeout_s)

    async def wait(self, *, timeout_s: float | None = None) -> t.Exit:
        """Wait until it has ended."""
        return await self._tasks.wait(self.container_id, exec_id=self.exec_id, timeout_s=timeout_s)

    async def delete(self, *, force: bool = False, timeout_s: float | None = UNSET) -> t.Exit:
        """Remove it."""
        return await self._tasks.delete(self.container_id, exec_id=self.exec_id, force=force, timeout_s=timeout_s)

    async def exec(
        self,
        exec_id: str,
        process: Mapping[str, Any],
        *,
        stdio: t.Stdio | None = None,
        timeout_s: float | None = UNSET,
    ) -> Task:
        """Another process in the same container, registered and not started."""
        await self._tasks.exec(self.container_id, exec_id, process, stdio=stdio, timeout_s=timeout_s)
        return Task(self._caller, self.container_id, exec_id=exec_id)

    async def close_io(self, *, timeout_s: float | None = UNSET) -> None:
        """It sees the end of its stdin."""
        await self._tasks.close_io(self.container_id, exec_id=self.exec_id, timeout_s=timeout_s)

    async def pids(self, *, timeout_s: float | None = UNSET) -> builtins.list[t.ProcessPid]:
        """The pids of its container."""
        return await self._tasks.pids(self.container_id, timeout_s=timeout_s)


def _behind(request: t.Logs, chunk: t.LogChunk, length: int) -> t.Logs:
    """The request for what follows a chunk."""
    return msgspec.structs.replace(request, offset=chunk.offset + length)
