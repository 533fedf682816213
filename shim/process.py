"""One process of a container as the shim keeps it: the first one, or an exec."""

from __future__ import annotations

from shim.protocol import Exit, ProcessState, Stdio
from shim.states import CREATED, CREATING, DELETING, STOPPED, status_of
from shim.stdio import Streams


class Process:
    """Its state, its streams and, in the end, how it ended. Owns its streams."""

    __slots__ = (
        "early_exit",
        "exec_id",
        "exit_status",
        "exited_at_ns",
        "is_stdin_closed",
        "oom",
        "phase",
        "pid",
        "stdio",
        "streams",
    )

    def __init__(self, exec_id: str, stdio: Stdio) -> None:
        self.exec_id = exec_id
        self.phase = CREATED if exec_id else CREATING
        self.pid = 0
        self.exit_status = 0
        self.exited_at_ns = 0
        self.oom = False
        self.stdio = stdio
        self.streams: Streams | None = None
        self.is_stdin_closed = False
        """The end of its input was asked for, perhaps before it started."""
        self.early_exit: tuple[int, int] | None = None
        """Status and time of an exit that came before the start was announced."""

    @property
    def has_ended(self) -> bool:
        """Whether it ran, or could have, and does no longer."""
        return self.phase in {STOPPED, DELETING}

    def close_streams(self) -> None:
        """Close what the shim holds of its streams; idempotent."""
        if self.streams is not None:
            self.streams.close()
            self.streams = None

    def exit(self) -> Exit:
        """How it ended."""
        return Exit(pid=self.pid, exit_status=self.exit_status, exited_at_ns=self.exited_at_ns, oom=self.oom)

    def state(self, container_id: str) -> ProcessState:
        """Itself, for the worker."""
        return ProcessState(
            container_id=container_id,
            exec_id=self.exec_id,
            pid=self.pid,
            status=status_of(self.phase),
            exit_status=self.exit_status,
            exited_at_ns=self.exited_at_ns,
            oom=self.oom,
            stdio=self.stdio,
        )
