"""Tasks: the running processes of containers. The init process has an empty `exec_id`."""

from __future__ import annotations

from enum import StrEnum

from wharfie.types.base import Json, Message, Mount


class Status(StrEnum):
    """A process's state (containerd's task.Status)."""

    UNKNOWN = "unknown"
    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    PAUSING = "pausing"


class Stdio(Message, frozen=True, kw_only=True):
    """Where the streams go: a FIFO's path, `file:///path` (appended), `log://`, or empty for /dev/null.

    `log://` is a file that the daemon keeps for the container (read it with `tasks.logs`); replies show it as `file://`.
    """

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


class Process(Message, frozen=True, kw_only=True):
    """A process of a container, as its shim tells it. `unknown` is a status: the shim did not answer in time."""

    container_id: str
    exec_id: str = ""
    pid: int = 0
    status: Status = Status.UNKNOWN
    stdio: Stdio = Stdio()
    exit_status: int = 0
    exited_at_ns: int = 0
    bundle: str = ""
    shim_pid: int = 0


class Create(Message, frozen=True, kw_only=True):
    """`tasks.create`: shim, bundle, rootfs and `runc create`; nothing runs yet.

    `rootfs` empty: the mounts of the container's snapshot. `not_found` without a container record, `already_exists`
    with a task. A failed create leaves nothing.
    """

    container_id: str
    rootfs: list[Mount] = []
    stdio: Stdio = Stdio()
    options: Json = {}


class Created(Message, frozen=True, kw_only=True):
    """Reply of `tasks.create` and `tasks.start`."""

    pid: int
    container_id: str = ""
    exec_id: str = ""


class Start(Message, frozen=True, kw_only=True):
    """`tasks.start`: the init process, or an exec."""

    container_id: str
    exec_id: str = ""


class Get(Message, frozen=True, kw_only=True):
    """`tasks.get`."""

    container_id: str
    exec_id: str = ""


class List(Message, frozen=True, kw_only=True):
    """`tasks.list`: every task of the namespace, also those whose shim is slow."""


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `tasks.list`, by container id."""

    tasks: list[Process]


class Kill(Message, frozen=True, kw_only=True):
    """`tasks.kill`: `signal` by number; `all`: every process of the container. `not_found` when it has finished."""

    container_id: str
    exec_id: str = ""
    signal: int = 15
    all: bool = False


class Exec(Message, frozen=True, kw_only=True):
    """`tasks.exec`: registers another process (an OCI `process` object); `tasks.start` starts it."""

    container_id: str
    exec_id: str
    process: Json
    stdio: Stdio = Stdio()


class Delete(Message, frozen=True, kw_only=True):
    """`tasks.delete`: the stopped task (or, with `exec_id`, one exec) goes; `failed_precondition` while it runs.

    `force` kills first. `keep_log` leaves the `log://` file for the container's next task.
    """

    container_id: str
    exec_id: str = ""
    force: bool = False
    keep_log: bool = False


class Exit(Message, frozen=True, kw_only=True):
    """How a process ended: reply of `tasks.wait` and `tasks.delete`. `oom`: the kernel killed in its cgroup."""

    container_id: str
    exec_id: str = ""
    pid: int = 0
    exit_status: int = 0
    exited_at_ns: int = 0
    oom: bool = False


class Wait(Message, frozen=True, kw_only=True):
    """`tasks.wait`: answers when the process has ended, at once if it has; survives restarts of every part."""

    container_id: str
    exec_id: str = ""


class GetPids(Message, frozen=True, kw_only=True):
    """`tasks.pids`."""

    container_id: str


class ProcessPid(Message, frozen=True, kw_only=True):
    """A pid inside the container, with its exec id when it is one."""

    pid: int
    exec_id: str = ""


class Pids(Message, frozen=True, kw_only=True):
    """Reply of `tasks.pids`."""

    processes: list[ProcessPid]


class CloseIO(Message, frozen=True, kw_only=True):
    """`tasks.close_io`: the process sees the end of its stdin."""

    container_id: str
    exec_id: str = ""
    stdin: bool = True


class Logs(Message, frozen=True, kw_only=True):
    """`tasks.logs`, a stream: the bytes of the task's log file from `offset`; `follow` goes on until the task ends.

    `not_found` when the task does not log to a file.
    """

    container_id: str
    offset: int = 0
    follow: bool = False


class LogChunk(Message, frozen=True, kw_only=True):
    """An item of `tasks.logs`; its payload frame starts at `offset` of the log."""

    offset: int
