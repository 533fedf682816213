"""The supervisor: the tree of processes, what became of them, and what an operator may ask of them.

An actor is a supervised process that has a name: the router and the workers. Jobs and shims appear in the tree below
the actor that asked for them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from wharfie.types.base import Message


class ActorState(StrEnum):
    """Where an actor stands; the graph of its transitions is in docs/architecture.md."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    """Silent: a series of heartbeats was missed."""
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """Waits for its next attempt to start."""
    FAILED = "failed"
    """Ended with an exit code that no restart will mend."""


class ActorType(StrEnum):
    """What kind of process a node of the tree is."""

    SUPERVISOR = "supervisor"
    ROUTER = "router"
    WORKER = "worker"
    JOB = "job"
    SHIM = "shim"


class Actor(Message, frozen=True, kw_only=True):
    """One line of `wharfie actor ls`."""

    name: str
    pid: int = 0
    """0: no process."""
    generation: int = 0
    """Of the present or the last incarnation, rising by one with every start."""
    state: ActorState
    restarts: int = 0
    """Restarts that nobody asked for."""
    uptime_s: float = 0.0
    """Of the present incarnation."""
    queue: int = 0
    """Messages that wait in it, as of its last heartbeat."""
    in_flight: int = 0
    """Requests it works on, as of its last heartbeat."""
    handled: int = 0
    """Requests the present incarnation has answered."""
    rss_bytes: int = 0
    """Resident memory, as of its last heartbeat."""
    type: ActorType = ActorType.WORKER
    last_exit: str = ""
    """How the last incarnation ended."""


class CrashReport(Message, frozen=True, kw_only=True):
    """One death that nobody asked for."""

    name: str
    generation: int
    pid: int
    at_ns: int
    """When, nanoseconds since the epoch."""
    reason: str
    """In words: "SIGKILL", "no beat for 5 s (SIGABRT)", …"""
    exit_code: int | None = None
    signal: int | None = None
    oom: bool = False
    """The kernel killed it for want of memory."""
    uptime_s: float = 0.0
    was_ready: bool = False
    stack: str = ""
    """The last thing it wrote about itself: a traceback or a stack dump."""
    in_flight: list[str] = []
    """Methods of the requests it was working on."""
    rss_bytes: int = 0
    """Resident memory as of its last heartbeat."""
    peak_rss_bytes: int = 0
    """The most resident memory it ever had."""


class List(Message, frozen=True, kw_only=True):
    """`supervisor.list`."""


class Actors(Message, frozen=True, kw_only=True):
    """Reply of `supervisor.list`, in start order."""

    actors: list[Actor]


class Tree(Message, frozen=True, kw_only=True):
    """`supervisor.tree`: answered with the `Node` at the root, the supervisor itself."""


class Node(Message, frozen=True, kw_only=True):
    """One process and those that are there because of it."""

    name: str
    pid: int = 0
    type: ActorType
    state: str = ""
    generation: int = 0
    uptime_s: float = 0.0
    children: list[Node] = []


class Get(Message, frozen=True, kw_only=True):
    """`supervisor.get`."""

    name: str


class Inspection(Message, frozen=True, kw_only=True):
    """Reply of `supervisor.get`."""

    actor: Actor
    start: str
    """Its dotted target."""
    restart: str
    """`permanent`, `transient` or `temporary`."""
    group: str = ""
    strategy: str = "one_for_one"
    depends_on: list[str] = []
    shutdown: str = ""
    """Seconds it may take to stop, `kill` or `infinity`."""
    ready_timeout_s: float = 0.0
    heartbeat_interval_s: float = 0.0
    heartbeat_misses: int = 0
    memory_max_bytes: int = 0
    pss_bytes: int = 0
    """Memory now, shared pages counted in proportion."""
    info: dict[str, Any] = {}
    """What it said of itself when it became ready."""
    children: list[Node] = []
    crash_reports: list[CrashReport] = []


class GetCrashReports(Message, frozen=True, kw_only=True):
    """`supervisor.crash_reports`: of one actor, or of all when `name` is empty."""

    name: str = ""


class CrashReports(Message, frozen=True, kw_only=True):
    """Reply of `supervisor.crash_reports`, oldest first."""

    reports: list[CrashReport]


class Start(Message, frozen=True, kw_only=True):
    """`supervisor.start`: answered with the actor once it is ready; one that runs is left as it is."""

    name: str


class Stop(Message, frozen=True, kw_only=True):
    """`supervisor.stop`: answered with the actor once its process is gone. The router cannot be stopped."""

    name: str


class Restart(Message, frozen=True, kw_only=True):
    """`supervisor.restart`: answered with the actor once a new incarnation is ready.

    For the router, which carries the answer, it comes before the restart.
    """

    name: str


class SetLogLevel(Message, frozen=True, kw_only=True):
    """`supervisor.log_level`: of one actor, of the `supervisor`, or of everybody when `name` is empty or `all`.

    Lasts until the process ends.
    """

    name: str = ""
    level: str


class Dump(Message, frozen=True, kw_only=True):
    """`supervisor.dump`: what every process does at this moment; it goes into the log, too."""


class Stacks(Message, frozen=True, kw_only=True):
    """Reply of `supervisor.dump`: a text for each process; an empty one did not answer in time."""

    stacks: dict[str, str]


class Reload(Message, frozen=True, kw_only=True):
    """`supervisor.reload`: read the configuration again, as SIGHUP does."""


class Reloaded(Message, frozen=True, kw_only=True):
    """Reply of `supervisor.reload`: keys that took effect, and keys that need a restart of the daemon."""

    applied: list[str]
    restart: list[str]
    warnings: list[str] = []
