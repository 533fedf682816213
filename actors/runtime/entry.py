"""What the worker knows of a task: a cache of what its shim says, kept true by the shim's events."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

from actors.runtime.bundle import TaskFile
from actors.runtime.link import ShimLink
from shim import protocol
from wharfie import errors
from wharfie.types.tasks import Exit, Process, Status, Stdio

OOM_EXIT = "oom"


class Phase(StrEnum):
    """Where a task is in its life, seen from here."""

    CREATING = "creating"
    RECOVERING = "recovering"
    """After a restart of this worker, until its shim has answered."""
    LIVE = "live"
    DEAD = "dead"
    """Its shim is gone; what it left is known from the journal."""
    DELETING = "deleting"


class Known:
    """One process of a task."""

    __slots__ = ("exec_id", "exit", "exited_at_ns", "oom", "pid", "status", "stdio")

    def __init__(self, exec_id: str, stdio: Stdio) -> None:
        self.exec_id = exec_id
        self.stdio = stdio
        self.pid = 0
        self.status = Status.CREATED
        self.exit = 0
        self.exited_at_ns = 0
        self.oom = False


class Entry:
    """A task.

    Attributes:
        link: to its shim, when there is one.
        gone: set when its bundle has been removed and the name is free.
        seq: of the newest event that was seen; `stored` of the newest that metadata has.
    """

    def __init__(self, file: TaskFile, path: str, *, phase: Phase) -> None:
        self.file = file
        self.path = path
        self.phase = phase
        self.link: ShimLink | None = None
        self.shim_pid = 0
        self.processes: dict[str, Known] = {"": Known("", file.stdio)}
        self.burial: asyncio.Task[None] | None = None
        """The clean-up after its shim's death, while and after it goes on."""
        self.gone = asyncio.Event()
        self.settled = asyncio.Event()
        self.seq = 0
        self.stored = 0
        self.is_deleted = False
        """Its shim has deleted it, or said so to somebody before this incarnation."""
        self._changed: list[asyncio.Future[None]] = []

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.file.namespace

    @property
    def id(self) -> str:
        """The container's id."""
        return self.file.id

    def process(self, exec_id: str) -> Known:
        """A process of it.

        Raises:
            NotFound: there is no such exec.
        """
        found = self.processes.get(exec_id)
        if found is None:
            raise errors.NotFound(
                f"exec '{exec_id}' not found in container '{self.id}' of namespace '{self.namespace}'"
            )
        return found

    def live_link(self) -> ShimLink:
        """The connection to its shim.

        Raises:
            Unavailable: it is not back yet.
            FailedPrecondition: its shim is gone for good.
        """
        if self.link is not None:
            return self.link
        if self.phase is Phase.DEAD:
            raise errors.FailedPrecondition(
                f"the shim of container '{self.id}' is gone; delete the task", details={"reason": "shim_gone"}
            )
        raise errors.Unavailable(f"task '{self.id}' is being recovered", retryable=True)

    def describe(self, known: Known, *, unknown: bool = False) -> Process:
        """A process as the wire shows it."""
        return Process(
            container_id=self.id,
            exec_id=known.exec_id,
            pid=known.pid,
            status=Status.UNKNOWN if unknown or self.phase is Phase.RECOVERING else known.status,
            stdio=known.stdio,
            exit_status=known.exit,
            exited_at_ns=known.exited_at_ns,
            bundle=self.path,
            shim_pid=self.shim_pid,
        )

    def exit_of(self, known: Known) -> Exit:
        """How a process ended."""
        return Exit(
            container_id=self.id,
            exec_id=known.exec_id,
            pid=known.pid,
            exit_status=known.exit,
            exited_at_ns=known.exited_at_ns,
            oom=known.oom,
        )

    # -- changes -----------------------------------------------------------------------------------------------------

    def take_event(self, topic: str, event: dict[str, Any]) -> None:
        """Let an event of the shim change what is known; events of processes that are gone change nothing."""
        if topic == "/tasks/delete":
            self.is_deleted = True
            self.changed()
            return
        exec_id = str(event.get("exec_id", ""))
        if topic == "/tasks/exit":
            exec_id = "" if event.get("id") == self.id else str(event.get("id", ""))
        if topic == "/tasks/exec-added":
            self.processes.setdefault(exec_id, Known(exec_id, Stdio()))
        known = self.processes.get(exec_id)
        if known is None:
            return
        if topic == "/tasks/create":
            known.pid = int(event.get("pid", 0))
        elif topic in ("/tasks/start", "/tasks/exec-started"):
            known.pid = int(event.get("pid", 0))
            if known.status is not Status.STOPPED:
                known.status = Status.RUNNING
        elif topic == "/tasks/oom":
            known.oom = True
        elif topic == "/tasks/exit":
            known.status = Status.STOPPED
            known.pid = int(event.get("pid", known.pid))
            known.exit = int(event.get("exit_status", 0))
            known.exited_at_ns = int(event.get("exited_at_ns", 0))
        self.changed()

    def take_state(self, state: protocol.ProcessState) -> Known:
        """Let a shim's own word about a process replace what is known."""
        known = self.processes.get(state.exec_id)
        if known is None:
            known = self.processes[state.exec_id] = Known(state.exec_id, Stdio())
        known.pid = state.pid
        known.status = Status(state.status)
        known.exit = state.exit_status
        known.exited_at_ns = state.exited_at_ns
        known.oom = state.oom
        known.stdio = Stdio(
            stdin=state.stdio.stdin,
            stdout=state.stdio.stdout,
            stderr=state.stdio.stderr,
            terminal=state.stdio.terminal,
        )
        self.changed()
        return known

    def changed(self) -> None:
        """Wake whoever waits for a change."""
        waiting, self._changed = self._changed, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def next_change(self) -> None:
        """Wait until anything about it has changed."""
        future = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        await future
