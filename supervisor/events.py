"""The vocabulary of the policy: what happens to children (events) and what is to be done about it (actions).

`supervisor.decide` turns the one into the other; `supervisor.processes` observes events and carries out actions.
Values only: nothing here does anything.
"""

from __future__ import annotations

import signal
from enum import StrEnum

import msgspec


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: by an exit code or by a signal."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False
    """The kernel killed it for want of memory."""

    @property
    def normal(self) -> bool:
        """Exit code 0: it ended because it was done."""
        return self.code == 0

    def describe(self) -> str:
        """One phrase for logs: "exit code 1", "SIGKILL (out of memory)"."""
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        return f"{name} (out of memory)" if self.oom else name


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to an incarnation; one of another generation than the present one is ignored."""

    child: str
    generation: int


class Started(Event, frozen=True, kw_only=True):
    """The fork that was asked for has been made."""

    pid: int


class StartFailed(Event, frozen=True, kw_only=True):
    """The fork that was asked for could not be made."""

    reason: str
    dice: float = 0.5
    """Chance in [0, 1) for the jitter, drawn by the shell so that the policy stays pure."""


class Ready(Event, frozen=True, kw_only=True):
    """The child said that it serves."""


class Beat(Event, frozen=True, kw_only=True):
    """The child's loop turned."""


class Exited(Event, frozen=True, kw_only=True):
    """The process ended."""

    exit: Exit
    dice: float = 0.5


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """Time has passed: the moment `wake_at_s` named has come."""


class Verb(StrEnum):
    """What an operator may ask for."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    SHUTDOWN = "shutdown"
    """Stop everything in reverse order and end; not to be taken back."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An operator asks; `child` None means all of them. An unknown child is ignored."""

    verb: Verb
    child: str | None = None
    reason: str = "requested"


Happening = Started | StartFailed | Ready | Beat | Exited | Tick | Command


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """Fork this incarnation; answer with `Started` or `StartFailed`."""

    child: str
    generation: int


class AskStop(msgspec.Struct, frozen=True, kw_only=True):
    """Ask it to finish: the message `Stop`, then SIGTERM, then SIGCONT so that a stopped process can obey."""

    child: str
    generation: int
    reason: str
    timeout_s: float
    """Seconds until SIGKILL; 0 means no limit."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """Send SIGABRT or SIGKILL."""

    child: str
    generation: int
    signal: int


class DumpStack(msgspec.Struct, frozen=True, kw_only=True):
    """Have the stuck process write its stack into the log (SIGUSR1)."""

    child: str
    generation: int


class Announce(msgspec.Struct, frozen=True, kw_only=True):
    """Tell every other child that this incarnation is up, or down and why."""

    child: str
    generation: int
    up: bool
    pid: int
    reason: str = ""
    blame: bool = False
    """What it was working on may have killed it; false for a stop and for a SIGKILL from outside."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a crash report: the child ended otherwise than it was asked to."""

    child: str
    generation: int
    pid: int
    exit: Exit | None
    """None: it could not be forked."""
    cause: str
    """Why: the exit in words, or what the supervisor ended it for."""
    uptime_s: float
    was_ready: bool


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """Too many restarts: dump the state; everything is being stopped; exit non-zero after `AllStopped`."""

    reason: str


class AllStopped(msgspec.Struct, frozen=True, kw_only=True):
    """After a shutdown, the end of a significant child or giving up: no child lives any more."""

    reason: str
    failed: bool
    """The supervisor gave up: exit non-zero."""


Action = Fork | AskStop | Signal | DumpStack | Announce | Report | GiveUp | AllStopped
