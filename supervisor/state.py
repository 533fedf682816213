"""The state of the policy: one value for each child, one for the whole, and questions about them.

Immutable by convention: `supervisor.decide` makes a new `State` and never changes an old one. Times are seconds of
whatever clock the caller of `decide` uses (the shell: monotonic).
"""

from __future__ import annotations

import math
from enum import IntEnum, StrEnum

import msgspec

from supervisor.spec import ChildSpec, Restart, Tree, start_order

UNKILLABLE_S = 10.0
"""A process that survives SIGKILL for so long hangs in the kernel, and the tree is no longer healthy."""


class Phase(StrEnum):
    """Where a child stands."""

    ABSENT = "absent"
    """No process; not started yet, stopped, or ended for good."""
    STARTING = "starting"
    """Forked; not ready yet."""
    READY = "ready"
    DEGRADED = "degraded"
    """Ready once, now silent: a series of beats was missed."""
    STOPPING = "stopping"
    BACKOFF = "backoff"
    """No process; waits for its next attempt."""
    FAILED = "failed"
    """No process; ended with a permanent exit code. Only an operator starts it again."""


TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.ABSENT: frozenset({Phase.STARTING}),
    Phase.STARTING: frozenset({Phase.READY, Phase.STOPPING, Phase.BACKOFF, Phase.ABSENT, Phase.FAILED}),
    Phase.READY: frozenset({Phase.DEGRADED, Phase.STOPPING, Phase.STARTING, Phase.ABSENT, Phase.FAILED}),
    Phase.DEGRADED: frozenset({Phase.READY, Phase.STOPPING, Phase.STARTING, Phase.ABSENT, Phase.FAILED}),
    Phase.STOPPING: frozenset({Phase.ABSENT, Phase.STARTING}),
    Phase.BACKOFF: frozenset({Phase.STARTING, Phase.ABSENT}),
    Phase.FAILED: frozenset({Phase.STARTING, Phase.ABSENT}),
}
"""Every way from one phase to another within one decision; a test compares it with what `decide` does."""

LIVE = frozenset({Phase.STARTING, Phase.READY, Phase.DEGRADED, Phase.STOPPING})
"""Phases in which a process exists or its fork has been asked for."""
SERVING = frozenset({Phase.READY, Phase.DEGRADED})


class Goal(StrEnum):
    """Where a child is to go."""

    UP = "up"
    DOWN = "down"
    CYCLE = "cycle"
    """Down first, then up again."""


class Alarm(IntEnum):
    """How far the ladder against a stuck process has been climbed."""

    NONE = 0
    DUMPED = 1
    ABORTED = 2
    KILLED = 3


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One child: its specification, its present incarnation and its history as far as the policy needs it."""

    spec: ChildSpec
    phase: Phase = Phase.ABSENT
    goal: Goal = Goal.DOWN
    generation: int = 0
    """Of the present or the last incarnation; rises by one with every fork."""
    pid: int = 0
    """0 until the fork is confirmed and after the end."""
    since_s: float = 0.0
    """When the present phase began."""
    started_s: float = 0.0
    ready_s: float | None = None
    """When the present incarnation became ready."""
    deadline_s: float = math.inf
    """The child's one timer."""
    alarm: Alarm = Alarm.NONE
    alarm_s: float = 0.0
    """When the alarm last rose."""
    cause: str = ""
    """What the supervisor is ending this incarnation for."""
    ordered: bool = True
    """The next start waits for its dependencies; a restart after a crash does not."""
    failures: int = 0
    """Attempts in a row that never became ready."""
    restarts: int = 0
    """Restarts that no operator asked for."""
    last_exit: str = ""

    @property
    def live(self) -> bool:
        """A process exists or its fork has been asked for."""
        return self.phase in LIVE


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is being stopped, and why."""

    reason: str
    failed: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The whole."""

    tree: Tree
    order: tuple[str, ...]
    """Names in start order."""
    children: dict[str, Child]
    now_s: float = 0.0
    restarts_s: tuple[float, ...] = ()
    """Moments of restarts within the period; never longer than intensity + 1."""
    halt: Halt | None = None
    stopped: bool = False
    """`AllStopped` has been said."""


def initial(tree: Tree, now_s: float = 0.0) -> State:
    """Nothing runs and nothing is to run."""
    children = {spec.id: Child(spec=spec, since_s=now_s) for spec in tree.children}
    return State(tree=tree, order=start_order(tree.children), children=children, now_s=now_s)


def with_tree(state: State, tree: Tree) -> State:
    """The same with other numbers: limits count from now on, a child's own fields from its next incarnation on.

    Raises: ValueError when the tree has other children, since that needs a new supervisor.
    """
    if start_order(tree.children) != state.order:
        raise ValueError("a reload changes the numbers of children and not their names or order")
    return msgspec.structs.replace(state, tree=tree)


def wake_at_s(state: State) -> float:
    """When the next `Tick` is due; infinity when there is nothing to wait for."""
    return min((child.deadline_s for child in state.children.values()), default=math.inf)


def booted(state: State) -> bool:
    """Every child that is to be up is up, or has failed for good."""
    return all(
        child.phase in SERVING or child.phase is Phase.FAILED
        for child in state.children.values()
        if child.goal is not Goal.DOWN
    )


def healthy(state: State) -> bool:
    """Every permanent child serves, or is on a way that ends by itself, or is down on purpose.

    A child that failed for good does not make the tree unhealthy: a restart would not mend it, and the others serve.
    """
    for child in state.children.values():
        if child.spec.restart is not Restart.PERMANENT:
            continue
        if child.phase is Phase.DEGRADED:
            return False
        killed = child.live and child.alarm is Alarm.KILLED
        if killed and state.now_s - child.alarm_s > UNKILLABLE_S:
            return False
    return True


def degraded(state: State) -> tuple[str, ...]:
    """Names of children that are to be up and have failed for good, in start order."""
    return tuple(name for name in state.order if state.children[name].phase is Phase.FAILED)
