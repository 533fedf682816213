"""What holds for every sequence of events, found by hypothesis; and the published graph is the real one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor.events import Beat, Exit, Exited, Happening, Ready, Started, StartFailed, Tick, Verb
from supervisor.spec import ChildSpec, Heartbeat, Restart, Strategy, Tree
from supervisor.state import TRANSITIONS, Phase, healthy, initial, wake_at_s
from tests.support.policy import Policy

NAMES = ("a", "b", "c", "d")
DEPENDS: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def child_specs() -> st.SearchStrategy[tuple[ChildSpec, ...]]:
    def build(name: str) -> st.SearchStrategy[ChildSpec]:
        return st.builds(
            lambda **fields: ChildSpec(id=name, start="m:f", depends_on=DEPENDS[name], **fields),
            restart=st.sampled_from(Restart),
            shutdown=st.sampled_from([0.5, 3.0, "kill", "infinity"]),
            group=st.sampled_from(["", "g", "h"]),
            heartbeat=st.sampled_from([None, Heartbeat()]),
            ready_timeout_s=st.sampled_from([1.0, 10.0]),
        )

    return st.tuples(*(build(name) for name in NAMES))


class AnySequence(RuleBasedStateMachine):
    """Processes that do whatever they like, operators who ask for anything, and a clock that jumps."""

    policy: Policy

    @initialize(
        specs=child_specs(),
        g=st.sampled_from(Strategy),
        h=st.sampled_from(Strategy),
        intensity=st.sampled_from([0, 3, 1000]),
        data=st.data(),
    )
    def begin(
        self,
        specs: tuple[ChildSpec, ...],
        g: Strategy,
        h: Strategy,
        intensity: int,
        data: st.DataObject,
    ) -> None:
        def fork(action: Any) -> Happening:
            if data.draw(st.integers(0, 9)) == 0:
                return StartFailed(child=action.child, generation=action.generation, reason="no memory")
            return Started(child=action.child, generation=action.generation, pid=action.generation)

        self.policy = Policy(*specs, groups={"g": g, "h": h}, intensity=intensity, on_fork=fork)
        self.policy.command("start")

    @rule(name=st.sampled_from(NAMES), older=st.integers(0, 2))
    def becomes_ready(self, name: str, older: int) -> None:
        self.policy.do(Ready(child=name, generation=self.policy.child(name).generation - older))

    @rule(name=st.sampled_from(NAMES), older=st.integers(0, 2))
    def beats(self, name: str, older: int) -> None:
        self.policy.do(Beat(child=name, generation=self.policy.child(name).generation - older))

    @rule(
        name=st.sampled_from(NAMES),
        end=st.sampled_from([Exit(code=0), Exit(code=1), Exit(code=78), Exit(signal=9), Exit(signal=15)]),
        dice=st.floats(0, 0.999),
    )
    def dies(self, name: str, end: Exit, dice: float) -> None:
        generation = self.policy.child(name).generation
        self.policy.do(Exited(child=name, generation=generation, exit=end, dice=dice))

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.6, 3.1, 30.0, -5.0]))
    def time_passes(self, seconds: float) -> None:
        self.policy.now_s += seconds
        self.policy.do(Tick())

    @precondition(lambda self: self.policy.state.halt is None)
    @rule(verb=st.sampled_from(["start", "stop", "restart"]), name=st.sampled_from([None, *NAMES, "nobody"]))
    def operator_asks(self, verb: str, name: str | None) -> None:
        self.policy.command(verb, name)

    @rule()
    def shutdown(self) -> None:
        self.policy.command(Verb.SHUTDOWN)

    @invariant()
    def what_lives_is_what_the_state_says(self) -> None:
        live = {n: c.generation for n, c in self.policy.state.children.items() if c.live}
        assert live == self.policy.alive

    @invariant()
    def timers_are_bounded(self) -> None:
        state = self.policy.state
        timers = [c.deadline_s for c in state.children.values() if not math.isinf(c.deadline_s)]
        assert len(timers) <= len(NAMES)
        assert all(deadline - state.now_s <= 60 for deadline in timers)
        assert len(state.restarts_s) <= state.tree.intensity + 1

    @invariant()
    def nothing_lives_after_all_has_stopped(self) -> None:
        if self.policy.state.stopped:
            assert self.policy.alive == {}
            assert wake_at_s(self.policy.state) == math.inf

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """A child that is to be up is up, or has a timer, or waits for another child that is on its way."""
        state = self.policy.state
        on_the_way = {n for n, c in state.children.items() if c.live or not math.isinf(c.deadline_s)}
        for child in state.children.values():
            if str(child.goal) != "down" and child.phase is Phase.ABSENT:
                assert on_the_way, state

    def teardown(self) -> None:
        """After a shutdown everything is stopped once each child has obeyed or been killed."""
        if not hasattr(self, "policy"):
            return
        policy = self.policy
        policy.command(Verb.SHUTDOWN)
        for _ in range(4 * len(NAMES)):
            policy.wait(60)
            for name in list(policy.alive):
                child = policy.child(name)
                if child.phase is Phase.STOPPING:
                    policy.exit(name, signal=9)
        assert policy.alive == {}
        assert policy.state.stopped


AnySequence.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnySequence = AnySequence.TestCase


def spec(name: str, **fields: Any) -> ChildSpec:
    return ChildSpec(**{"id": name, "start": "m:f", **fields})


def test_every_published_transition_happens_and_no_other() -> None:
    """`Policy.do` refuses unpublished ones; here each published one is walked."""
    seen: set[tuple[Phase, Phase]] = set()

    def walk(*steps: tuple[str, dict[str, Any]] | float | str, **fields: Any) -> None:
        policy = Policy(spec("a", **fields))
        policy.command("start")
        for step in steps:
            if isinstance(step, float):
                policy.wait(step)
            elif isinstance(step, tuple):
                policy.exit(step[0], **step[1])
            elif step == "ready":
                policy.ready("a")
            elif step == "beat":
                policy.beat("a")
            else:
                policy.command(step, "a")
        seen.update(policy.edges)

    ok, crash, final = ("a", {"code": 0}), ("a", {"code": 1}), ("a", {"code": 78})
    for end in (ok, crash, final):
        walk(end, restart=Restart.TRANSIENT)
        walk("ready", end, restart=Restart.TRANSIENT)
        walk("ready", 3.1, end, restart=Restart.TRANSIENT)
    walk("ready", 3.1, "beat")
    walk("ready", 3.1, "stop", ok)
    walk("ready", "stop", ok)
    walk("restart", ok)
    walk(crash, 1.0)
    walk(crash, "stop")
    walk(final, "start")
    walk(final, "stop")
    assert seen == {(old, new) for old, news in TRANSITIONS.items() for new in news}


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_is_in_the_published_graph(phase: Phase) -> None:
    assert phase in TRANSITIONS


def test_an_empty_tree_is_healthy_and_has_no_timer() -> None:
    state = initial(Tree(children=()))
    assert healthy(state)
    assert wake_at_s(state) == math.inf
