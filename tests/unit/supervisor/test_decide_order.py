"""The rules of order: who waits for whom in starts, stops and group restarts, and what operators may ask meanwhile."""

from __future__ import annotations

import math
from typing import Any

import pytest

from supervisor.events import AskStop, Command, Fork, Happening, Started, Verb
from supervisor.spec import ChildSpec, Restart, Strategy
from supervisor.state import Phase, booted
from tests.support.policy import (
    SIGKILL,
    Policy,
    all_stopped,
    asked,
    forks,
    given_up,
    reports,
    signals,
)


def spec(name: str, *depends_on: str, **fields: Any) -> ChildSpec:
    return ChildSpec(**{"id": name, "start": "m:f", "depends_on": depends_on, "heartbeat": None, **fields})


def diamond() -> Policy:
    return Policy(spec("a"), spec("b", "a"), spec("c", "a"), spec("d", "b", "c"))


def grouped(strategy: Strategy, *extra: ChildSpec, **fields: Any) -> Policy:
    members = (spec("a", group="g"), spec("b", group="g"), spec("c", group="g"))
    return Policy(*members, *extra, groups={"g": strategy}, **fields)


# --- start and stop ---------------------------------------------------------------------------------------------


def test_start_follows_dependencies_and_waits_for_ready_with_branches_in_parallel() -> None:
    policy = diamond()
    assert forks(policy.command("start")) == ["a"]
    assert forks(policy.ready("a")) == ["b", "c"]
    assert forks(policy.ready("c")) == []
    assert forks(policy.ready("b")) == ["d"]
    assert not booted(policy.state)
    policy.ready("d")
    assert booted(policy.state)


def test_dependants_wait_while_a_dependency_backs_off() -> None:
    policy = diamond()
    policy.command("start")
    policy.exit("a")
    policy.wait(0.2)
    assert policy.phases() == {"a": "starting", "b": "absent", "c": "absent", "d": "absent"}


def test_stop_order_is_reverse_of_start() -> None:
    policy = diamond()
    policy.boot()
    assert asked(policy.command("shutdown")) == ["d"]
    assert asked(policy.exit("d", code=0)) == ["c", "b"]
    assert asked(policy.exit("c", code=0)) == []
    assert asked(policy.exit("b", code=0)) == ["a"]
    stopped = all_stopped(policy.exit("a", code=0))
    assert stopped is not None
    assert (stopped.reason, stopped.failed) == ("shutdown requested", False)


def test_stop_waits_for_indirect_dependants_too() -> None:
    policy = Policy(spec("a"), spec("b", "a"), spec("c", "b"))
    policy.boot()
    policy.command("stop", "b")
    policy.exit("b", code=0)
    assert asked(policy.command("shutdown")) == ["c"]
    assert asked(policy.exit("c", code=0)) == ["a"]


def test_shutdown_of_nothing_is_over_at_once() -> None:
    assert all_stopped(Policy(spec("a")).command("shutdown")) is not None


def test_shutdown_asked_twice_stops_once() -> None:
    policy = diamond()
    policy.boot()
    policy.command("shutdown")
    assert policy.command("shutdown") == []


def test_the_end_is_told_once() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.command("shutdown")
    assert all_stopped(policy.exit("a", code=0)) is not None
    assert policy.command("shutdown") == []
    assert policy.wait(10) == []


def test_shutdown_while_giving_up_still_fails() -> None:
    policy = Policy(spec("a"), spec("b"), intensity=0)
    policy.boot()
    policy.exit("a")
    policy.command("shutdown")
    stopped = all_stopped(policy.exit("b", code=0))
    assert stopped is not None
    assert stopped.failed


def test_giving_up_during_a_shutdown_cannot_happen() -> None:
    policy = Policy(spec("a"), spec("b", "a"), intensity=0)
    policy.boot()
    policy.command("shutdown")
    policy.exit("a", code=1)
    stopped = all_stopped(policy.exit("b", code=1))
    assert stopped is not None
    assert not stopped.failed


def test_each_child_has_its_own_stop_timeout_and_is_killed_after_it() -> None:
    policy = Policy(spec("a", shutdown=1.0), spec("b", shutdown=3.0), spec("c", shutdown="infinity"))
    policy.boot()
    actions = policy.command("shutdown")
    assert [(a.child, a.timeout_s) for a in actions if isinstance(a, AskStop)] == [
        ("c", 0.0),
        ("b", 3.0),
        ("a", 1.0),
    ]
    assert signals(policy.wait(1)) == [("a", SIGKILL)]
    assert signals(policy.wait(2)) == [("b", SIGKILL)]
    assert signals(policy.wait(10_000)) == []
    actions = policy.exit("b", signal=SIGKILL)
    assert [r.cause for r in reports(actions)] == ["shutdown requested, killed after its time was up"]


def test_brutal_kill_asks_nothing_and_reports_nothing() -> None:
    policy = Policy(spec("a", shutdown="kill"))
    policy.boot()
    actions = policy.command("stop", "a")
    assert asked(actions) == []
    assert signals(actions) == [("a", SIGKILL)]
    assert policy.pause() == math.inf
    assert reports(policy.exit("a", signal=SIGKILL)) == []


def test_stop_during_starting() -> None:
    policy = Policy(spec("a", shutdown=2.0))
    policy.command("start")
    assert asked(policy.command("stop", "a")) == ["a"]
    policy.ready("a")  # too late: it is on its way out
    assert policy.phase("a") is Phase.STOPPING
    assert signals(policy.wait(2)) == [("a", SIGKILL)]
    policy.exit("a", signal=SIGKILL)
    assert policy.phase("a") is Phase.ABSENT
    assert policy.wait(100) == []


def test_stop_before_the_fork_is_confirmed_is_asked_once_it_is() -> None:
    policy: Policy

    def stop_first(fork: Fork) -> Happening:
        actions = policy.do(Command(verb=Verb.STOP, child="a"))
        assert asked(actions) == []
        return Started(child=fork.child, generation=fork.generation, pid=7)

    policy = Policy(spec("a"), on_fork=stop_first)
    assert asked(policy.command("start")) == ["a"]
    assert policy.phase("a") is Phase.STOPPING


def test_stop_during_backoff() -> None:
    policy = Policy(spec("a"))
    policy.command("start")
    policy.exit("a")
    assert policy.phase("a") is Phase.BACKOFF
    assert asked(policy.command("stop", "a")) == []
    assert policy.phase("a") is Phase.ABSENT
    assert policy.wait(100) == []


def test_shutdown_during_backoff_is_over_at_once() -> None:
    policy = Policy(spec("a"))
    policy.command("start")
    policy.exit("a")
    assert all_stopped(policy.command("shutdown")) is not None


def test_restart_requested_while_stopping() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.command("stop", "a")
    assert policy.command("restart", "a") == []
    assert policy.command("restart", "a") == []
    actions = policy.exit("a", code=0)
    assert forks(actions) == ["a"]
    assert policy.child("a").generation == 2


def test_stop_requested_while_restarting_stays_down() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.command("restart", "a")
    policy.command("stop", "a")
    assert forks(policy.exit("a", code=0)) == []
    assert policy.phase("a") is Phase.ABSENT


def test_start_while_stopping_comes_back() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.command("stop", "a")
    policy.command("start", "a")
    assert forks(policy.exit("a", code=0)) == ["a"]


def test_start_of_a_running_child_changes_nothing() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    before = policy.state
    assert policy.command("start", "a") == []
    assert policy.state == before


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_operator_ends_a_pause(verb: str) -> None:
    policy = Policy(spec("a"))
    policy.command("start")
    policy.exit("a")
    assert forks(policy.command(verb, "a")) == ["a"]
    assert policy.child("a").failures == 0


def test_restarts_by_operators_do_not_count_against_intensity() -> None:
    policy = Policy(spec("a"), intensity=0)
    policy.boot()
    for _ in range(5):
        policy.command("restart", "a")
        assert not given_up(policy.exit("a", code=0))
        policy.ready("a")
    assert policy.child("a").restarts == 0


def test_restart_of_all_goes_down_and_up_in_order_and_leaves_stopped_children_down() -> None:
    policy = Policy(spec("a"), spec("b", "a"), spec("c"))
    policy.boot()
    policy.command("stop", "c")
    policy.exit("c", code=0)
    assert asked(policy.command("restart")) == ["b"]
    assert forks(policy.exit("b", code=0)) == []
    assert forks(policy.exit("a", code=0)) == ["a"]
    assert forks(policy.ready("a")) == ["b"]
    assert policy.phase("c") is Phase.ABSENT


def test_command_for_an_unknown_child_changes_nothing() -> None:
    policy = Policy(spec("a"))
    assert policy.command("start", "x") == []


def test_crashed_child_does_not_wait_for_its_dependency() -> None:
    policy = diamond()
    policy.boot()
    policy.command("stop", "a")
    policy.exit("a", code=0)
    assert forks(policy.exit("b", signal=SIGKILL)) == ["b"]


# --- strategies -------------------------------------------------------------------------------------------------


def test_one_for_one() -> None:
    policy = grouped(Strategy.ONE_FOR_ONE)
    policy.boot()
    assert forks(policy.exit("b")) == ["b"]
    assert policy.phases() == {"a": "ready", "b": "starting", "c": "ready"}


def test_one_for_all() -> None:
    policy = grouped(Strategy.ONE_FOR_ALL, spec("x"))
    policy.boot()
    assert asked(policy.exit("b")) == ["c"]
    assert asked(policy.exit("c", code=0)) == ["a"]
    assert forks(policy.exit("a", code=0)) == ["a"]
    assert forks(policy.ready("a")) == ["b"]
    assert forks(policy.ready("b")) == ["c"]
    policy.ready("c")
    assert policy.child("x").generation == 1
    assert [policy.child(n).restarts for n in "abc"] == [0, 1, 0]
    assert len(policy.state.restarts_s) == 1


def test_rest_for_one() -> None:
    policy = grouped(Strategy.REST_FOR_ONE)
    policy.boot()
    assert asked(policy.exit("b")) == ["c"]
    assert policy.phase("a") is Phase.READY
    assert forks(policy.exit("c", code=0)) == ["b"]
    assert forks(policy.ready("b")) == ["c"]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_temporary_sibling_taken_down_is_not_started_again(strategy: Strategy) -> None:
    policy = Policy(spec("a", group="g"), spec("t", group="g", restart=Restart.TEMPORARY), groups={"g": strategy})
    policy.boot()
    assert asked(policy.exit("a")) == ["t"]
    assert forks(policy.exit("t", code=0)) == ["a"]
    policy.ready("a")
    assert policy.phase("t") is Phase.ABSENT


def test_sibling_that_an_operator_is_stopping_stays_down() -> None:
    policy = grouped(Strategy.ONE_FOR_ALL)
    policy.boot()
    policy.command("stop", "c")
    policy.exit("a")
    policy.exit("c", code=0)
    policy.exit("b", code=0)
    policy.ready("a")
    policy.ready("b")
    assert policy.phases() == {"a": "ready", "b": "ready", "c": "absent"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_each_strategy_escalates(strategy: Strategy) -> None:
    policy = grouped(strategy, intensity=1)
    policy.boot()
    assert not given_up(policy.exit("a"))
    for _ in range(4):
        for name in policy.state.order:
            if policy.phase(name) is Phase.STOPPING:
                policy.exit(name, code=0)
        policy.ready(*(n for n in policy.state.order if policy.phase(n) is Phase.STARTING))
    assert set(policy.phases().values()) == {"ready"}
    assert given_up(policy.exit("a"))
    for name in ("c", "b"):
        policy.exit(name, code=0)
    assert policy.state.stopped


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_second_child_dies_during_restart(strategy: Strategy) -> None:
    policy = grouped(strategy)
    policy.boot()
    policy.exit("a")
    assert policy.phase("c") is Phase.STOPPING
    policy.exit("b", signal=SIGKILL)  # waited for its turn to stop; gone by itself instead
    assert len(policy.state.restarts_s) == 1
    assert forks(policy.exit("c", code=0)) == ["a"]
    policy.ready("a")
    policy.exit("b", signal=SIGKILL)  # dies while it starts again: never ready, so it pauses, and c waits
    assert policy.phase("b") is Phase.BACKOFF
    if strategy is Strategy.ONE_FOR_ALL:
        assert policy.phase("a") is Phase.STOPPING
        policy.exit("a", code=0)
        policy.ready("a")
    assert forks(policy.wait(0.2)) == ["b"]
    assert forks(policy.ready("b")) == ["c"]
    policy.ready("c")
    assert set(policy.phases().values()) == {"ready"}


def test_a_group_restart_does_not_cross_a_shutdown() -> None:
    policy = grouped(Strategy.ONE_FOR_ALL)
    policy.boot()
    policy.exit("b")
    policy.command("shutdown")
    policy.exit("c", code=0)
    assert all_stopped(policy.exit("a", code=0)) is not None
