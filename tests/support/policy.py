"""The policy of supervision on a fake clock: processes are entries in a dict and time moves when told."""

from __future__ import annotations

import math
from collections.abc import Callable

from supervisor.decide import decide
from supervisor.events import (
    Action,
    AllStopped,
    Announce,
    AskStop,
    Beat,
    Command,
    Exit,
    Exited,
    Fork,
    GiveUp,
    Happening,
    Ready,
    Report,
    Signal,
    Started,
    StartFailed,
    Tick,
    Verb,
)
from supervisor.spec import ChildSpec, Strategy, Tree
from supervisor.state import TRANSITIONS, Child, Phase, State, initial, wake_at_s

SIGKILL, SIGABRT, SIGTERM = 9, 6, 15


class Policy:
    """A supervisor without processes. Checks after every decision that no name has two live incarnations."""

    def __init__(
        self,
        *specs: ChildSpec,
        groups: dict[str, Strategy] | None = None,
        intensity: int = 100,
        period_s: float = 10.0,
        on_fork: Callable[[Fork], Happening] | None = None,
    ) -> None:
        tree = Tree(children=specs, groups=groups or {}, intensity=intensity, period_s=period_s)
        self.now_s = 1000.0
        self.state: State = initial(tree, self.now_s)
        self.alive: dict[str, int] = {}
        self.actions: list[Action] = []
        self.edges: set[tuple[Phase, Phase]] = set()
        self._next_pid = 1
        self._on_fork = on_fork or self._fork

    def _fork(self, fork: Fork) -> Happening:
        self._next_pid += 1
        return Started(child=fork.child, generation=fork.generation, pid=self._next_pid)

    def do(self, event: Happening) -> list[Action]:
        """Decide, carry out forks, and return all actions."""
        before = self.state
        if isinstance(event, (Exited, StartFailed)) and self.alive.get(event.child) == event.generation:
            del self.alive[event.child]
        self.state, actions = decide(self.state, event, self.now_s)
        for name, child in self.state.children.items():
            old, new = before.children[name].phase, child.phase
            if old is not new:
                self.edges.add((old, new))
                assert new in TRANSITIONS[old], f"{name}: {old} to {new} is not in the published graph"
        self.actions += actions
        done = list(actions)
        for action in actions:
            if isinstance(action, Fork):
                assert action.child not in self.alive, f"second live incarnation of {action.child}"
                assert action.generation == before.children[action.child].generation + 1
                self.alive[action.child] = action.generation
                done += self.do(self._on_fork(action))
            elif isinstance(action, (Signal, AskStop)):
                assert self.alive.get(action.child) == action.generation, f"{action} for a dead incarnation"
        return done

    def child(self, name: str) -> Child:
        return self.state.children[name]

    def phase(self, name: str) -> Phase:
        return self.child(name).phase

    def phases(self) -> dict[str, str]:
        return {name: str(child.phase) for name, child in self.state.children.items()}

    def command(self, verb: str, child: str | None = None) -> list[Action]:
        return self.do(Command(verb=Verb(verb), child=child, reason=f"{verb} requested"))

    def ready(self, *names: str) -> list[Action]:
        return [a for n in names for a in self.do(Ready(child=n, generation=self.child(n).generation))]

    def beat(self, name: str) -> list[Action]:
        return self.do(Beat(child=name, generation=self.child(name).generation))

    def exit(
        self,
        name: str,
        *,
        code: int | None = None,
        signal: int | None = None,
        oom: bool = False,
        dice: float = 0.5,
    ) -> list[Action]:
        code = 1 if code is None and signal is None else code
        end = Exit(code=code, signal=signal, oom=oom)
        return self.do(Exited(child=name, generation=self.child(name).generation, exit=end, dice=dice))

    def boot(self) -> list[Action]:
        """Start everything, each child ready as soon as it is forked."""
        actions = self.command("start")
        while starting := [n for n in self.state.order if self.phase(n) is Phase.STARTING]:
            actions += self.ready(*starting)
        return actions

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, with a tick at every moment the policy asked for."""
        end, actions = self.now_s + seconds, []
        while (at := wake_at_s(self.state)) <= end:
            self.now_s = max(at, self.now_s)
            actions += self.do(Tick())
        self.now_s = end
        return actions

    def pause(self) -> float:
        """Seconds to the next timer."""
        at = wake_at_s(self.state)
        return at if math.isinf(at) else at - self.now_s


def forks(actions: list[Action]) -> list[str]:
    return [a.child for a in actions if isinstance(a, Fork)]


def asked(actions: list[Action]) -> list[str]:
    return [a.child for a in actions if isinstance(a, AskStop)]


def signals(actions: list[Action]) -> list[tuple[str, int]]:
    return [(a.child, a.signal) for a in actions if isinstance(a, Signal)]


def reports(actions: list[Action]) -> list[Report]:
    return [a for a in actions if isinstance(a, Report)]


def announcements(actions: list[Action]) -> list[tuple[str, int, bool]]:
    return [(a.child, a.generation, a.up) for a in actions if isinstance(a, Announce)]


def given_up(actions: list[Action]) -> bool:
    return any(isinstance(a, GiveUp) for a in actions)


def all_stopped(actions: list[Action]) -> AllStopped | None:
    return next((a for a in actions if isinstance(a, AllStopped)), None)
