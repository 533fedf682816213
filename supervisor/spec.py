"""What a child is and how it is to be supervised: OTP's child specification plus what processes need.

Specifications are immutable values. A faulty one raises `SpecError` when it is made, naming the child and the field,
so that no process is ever forked from a mistake.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal

import msgspec

EX_CONFIG = 78
"""sysexits.h: the configuration is wrong, and a restart will not mend it."""
EX_PERMANENT = 125
"""s6: this service says it cannot run here."""

_ID = re.compile(r"[a-z][a-z0-9-]{0,30}")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class SpecError(ValueError):
    """A specification is faulty; the sentence names the child and the field."""


class Restart(StrEnum):
    """When a child that ended by itself is started again."""

    PERMANENT = "permanent"
    """Always, even after exit code 0."""
    TRANSIENT = "transient"
    """After an abnormal end: a signal or an exit code other than 0."""
    TEMPORARY = "temporary"
    """Never, even when a sibling's death took it down."""


class Strategy(StrEnum):
    """Whom a death in a group takes down."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    """Those that start later than the one that died."""


class ChildType(StrEnum):
    """What kind of process it is."""

    WORKER = "worker"
    ROUTER = "router"
    JOB = "job"
    SHIM = "shim"


Shutdown = float | Literal["kill", "infinity"]
"""How long a child may take to stop: seconds, none at all (SIGKILL at once), or without limit."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses between attempts of a child that never became ready; geometric, capped, shaken."""

    first_s: float = 0.1
    factor: float = 2.0
    max_s: float = 10.0
    jitter: float = 0.2
    """Share of a pause that chance may take off or add."""
    reset_after_s: float = 10.0
    """Ready for so long, the next failure begins with `first_s` again."""

    def pause_s(self, failures: int, dice: float) -> float:
        """The pause after the n-th failure in a row (from 1); `dice` in [0, 1) is the chance."""
        exponent = min(max(failures, 1) - 1, 64)
        pause = min(self.first_s * self.factor**exponent, self.max_s)
        return pause * (1.0 + self.jitter * (2.0 * dice - 1.0))


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How a stuck child is noticed and ended."""

    interval_s: float = 1.0
    misses: int = 3
    """So many intervals without a beat are a missed series: the stack is dumped."""
    step_s: float = 0.5
    """From the stack dump to SIGABRT, and from there to SIGKILL."""

    @property
    def silence_s(self) -> float:
        """The longest silence that is still healthy."""
        return self.interval_s * self.misses


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child. Raises `SpecError` when a field is faulty."""

    id: str
    start: str
    """Dotted target "actors.content.main:main"; imported in the child unless the supervisor has it already."""
    restart: Restart = Restart.PERMANENT
    shutdown: Shutdown = 5.0
    type: ChildType = ChildType.WORKER
    depends_on: tuple[str, ...] = ()
    """Started once these are ready (or have failed for good), stopped before them."""
    significant: bool = False
    """Its end by itself, when no restart follows, stops the supervisor. Not for permanent children."""
    group: str = ""
    ready_timeout_s: float = 10.0
    backoff: Backoff = Backoff()
    heartbeat: Heartbeat | None = Heartbeat()
    memory_max_bytes: int = 0
    """Limit of the child's cgroup; 0 is none."""
    permanent_exit_codes: tuple[int, ...] = (EX_CONFIG, EX_PERMANENT)

    def __post_init__(self) -> None:
        self._check("id", bool(_ID.fullmatch(self.id)), "must be lower-case letters, digits and '-', 31 at most")
        self._check("start", bool(_TARGET.fullmatch(self.start)), "must look like 'package.module:function'")
        self._check("restart", isinstance(self.restart, Restart), f"must be one of {', '.join(Restart)}")
        self._check("type", isinstance(self.type, ChildType), f"must be one of {', '.join(ChildType)}")
        self._check(
            "shutdown",
            self.shutdown in {"kill", "infinity"} or (isinstance(self.shutdown, (int, float)) and self.shutdown > 0),
            "must be 'kill', 'infinity' or seconds above 0",
        )
        self._check("depends_on", self.id not in self.depends_on, "must not name the child itself")
        self._check(
            "significant",
            not self.significant or self.restart is not Restart.PERMANENT,
            "must be false for a permanent child, which never ends for good",
        )
        self._check("ready_timeout_s", self.ready_timeout_s > 0, "must be above 0")
        self._check("memory_max_bytes", self.memory_max_bytes >= 0, "must not be negative")
        self._check("permanent_exit_codes", 0 not in self.permanent_exit_codes, "must not contain 0")
        backoff, beat = self.backoff, self.heartbeat
        self._check("backoff.first_s", backoff.first_s >= 0, "must not be negative")
        self._check("backoff.factor", backoff.factor >= 1, "must be 1 or more")
        self._check("backoff.max_s", backoff.max_s >= backoff.first_s, "must not be below backoff.first_s")
        self._check("backoff.jitter", 0 <= backoff.jitter < 1, "must be from 0 to below 1")
        self._check("backoff.reset_after_s", backoff.reset_after_s >= 0, "must not be negative")
        if beat is not None:
            self._check("heartbeat.interval_s", beat.interval_s > 0, "must be above 0")
            self._check("heartbeat.misses", beat.misses >= 1, "must be 1 or more")
            self._check("heartbeat.step_s", beat.step_s > 0, "must be above 0")

    def _check(self, field: str, ok: bool, rule: str) -> None:
        if not ok:
            raise SpecError(f"child {self.id!r}: field {field!r} {rule}")


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """The children of one supervisor. Raises `SpecError` on a duplicate, an unknown name or a cycle."""

    children: tuple[ChildSpec, ...]
    groups: dict[str, Strategy] = {}
    """Strategy by group; a group that is not named here is one_for_one."""
    intensity: int = 20
    """More restarts than this within `period_s`, of all children together, and the supervisor gives up."""
    period_s: float = 10.0

    def __post_init__(self) -> None:
        if self.intensity < 0:
            raise SpecError("field 'intensity' must not be negative")
        if self.period_s <= 0:
            raise SpecError("field 'period_s' must be above 0")
        start_order(self.children)

    def child(self, name: str) -> ChildSpec:
        """The specification of a child. Raises: KeyError."""
        for spec in self.children:
            if spec.id == name:
                return spec
        raise KeyError(name)

    def strategy(self, group: str) -> Strategy:
        """The strategy of a group."""
        return self.groups.get(group, Strategy.ONE_FOR_ONE)


def start_order(children: tuple[ChildSpec, ...]) -> tuple[str, ...]:
    """A topological order that keeps the written one where it may.

    Raises: SpecError for a duplicate id, an unknown dependency or a cycle (which it spells out).
    """
    by_id: dict[str, ChildSpec] = {}
    for child in children:
        if child.id in by_id:
            raise SpecError(f"child {child.id!r}: field 'id' is used twice")
        by_id[child.id] = child
    order: list[str] = []
    path: list[str] = []

    def visit(child: ChildSpec) -> None:
        if child.id in order:
            return
        if child.id in path:
            circle = " → ".join([*path[path.index(child.id) :], child.id])
            raise SpecError(f"child {child.id!r}: field 'depends_on' runs in a circle: {circle}")
        path.append(child.id)
        for name in child.depends_on:
            if name not in by_id:
                raise SpecError(f"child {child.id!r}: field 'depends_on' names the unknown child {name!r}")
            visit(by_id[name])
        path.pop()
        order.append(child.id)

    for child in children:
        visit(child)
    return tuple(order)
