"""One decision's working copy of the state, and the questions of order that the policy asks of it.

`supervisor.decide` holds the rules; here is what they stand on: changing a child, finding the present
incarnation, who depends on whom, and who has to wait for whom.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from supervisor.events import Action
from supervisor.spec import Strategy
from supervisor.state import SERVING, Child, Goal, Phase, State


class Turn:
    """A copy of the children that may be changed, and the actions so far."""

    def __init__(self, state: State, now_s: float) -> None:
        self.state = state
        self.tree = state.tree
        self.now_s = now_s
        self.children = dict(state.children)
        self.restarts_s = state.restarts_s
        self.halt = state.halt
        self.stopped = state.stopped
        self.actions: list[Action] = []

    def finish(self) -> State:
        """The state after this decision."""
        return State(
            tree=self.tree,
            order=self.state.order,
            children=self.children,
            now_s=self.now_s,
            restarts_s=self.restarts_s,
            halt=self.halt,
            stopped=self.stopped,
        )

    def change(self, name: str, **changes: Any) -> Child:
        """Replace fields of a child; a new phase begins now and has no deadline unless one is given."""
        child = self.children[name]
        phase = changes.get("phase", child.phase)
        if phase is not child.phase:
            changes.setdefault("since_s", self.now_s)
            changes.setdefault("deadline_s", math.inf)
        child = self.children[name] = msgspec.structs.replace(child, **changes)
        return child

    def present(self, name: str, generation: int) -> Child | None:
        """The child, if that generation is the one that lives."""
        child = self.children.get(name)
        return child if child is not None and child.live and child.generation == generation else None

    def siblings(self, name: str, *, later: bool) -> list[str]:
        """The other members of a child's group, or only those that start later than it."""
        group = self.children[name].spec.group
        order = self.state.order
        names = order[order.index(name) + 1 :] if later else order
        return [other for other in names if other != name and self.children[other].spec.group == group]

    def stop_waits(self, name: str) -> bool:
        """Something that is to stop too must stop before: a dependant, or a later member of the group."""
        before = set(self._dependants(name))
        if self.tree.strategy(self.children[name].spec.group) is not Strategy.ONE_FOR_ONE:
            before.update(self.siblings(name, later=True))
        return any(self.children[other].live and self.children[other].goal is not Goal.UP for other in before)

    def _dependants(self, name: str) -> list[str]:
        """All that depend on a child, directly or not."""
        found: list[str] = []
        for other in self.state.order:
            needs = self.children[other].spec.depends_on
            if name in needs or any(need in found for need in needs):
                found.append(other)
        return found

    def start_waits(self, name: str) -> bool:
        """An ordered start waits for what it depends on, and for its group to have come down and up again."""
        child = self.children[name]
        if not child.ordered:
            return False
        before = set(child.spec.depends_on)
        if self.tree.strategy(child.spec.group) is not Strategy.ONE_FOR_ONE:
            members = self.siblings(name, later=False)
            if any(self.children[m].live and self.children[m].goal is not Goal.UP for m in members):
                return True
            before.update(members)
            before.difference_update(self.siblings(name, later=True))
        return any(
            other.goal is not Goal.DOWN and other.phase not in SERVING and other.phase is not Phase.FAILED
            for other in (self.children[need] for need in before)
        )
