"""The rules of the policy for single children: restarts, pauses, intensity, exit codes, significance."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.decide import decide
from supervisor.events import Announce, Command, Exit, Exited, Fork, Ready, StartFailed, Tick, Verb
from supervisor.spec import Backoff, ChildSpec, Restart, Strategy, Tree
from supervisor.state import Goal, Phase, booted, degraded, healthy, initial, wake_at_s
from tests.support.policy import (
    SIGKILL,
    SIGTERM,
    Policy,
    all_stopped,
    announcements,
    asked,
    forks,
    given_up,
    reports,
    signals,
)


def spec(name: str, *depends_on: str, **fields: Any) -> ChildSpec:
    return ChildSpec(**{"id": name, "start": "m:f", "depends_on": depends_on, **fields})


EXITS: dict[str, dict[str, Any]] = {
    "ok": {"code": 0},
    "error": {"code": 1},
    "signal": {"signal": SIGKILL},
    "permanent": {"code": 78},
}


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("another_dies", [False, True])
@pytest.mark.parametrize("was_ready", [True, False])
@pytest.mark.parametrize("kind", list(EXITS))
@pytest.mark.parametrize("restart", list(Restart))
def test_restart_matrix(restart: Restart, kind: str, was_ready: bool, another_dies: bool, strategy: Strategy) -> None:
    """Restart type by kind of exit by ready or not by another child dies meanwhile by strategy."""
    policy = Policy(
        spec("first", group="g"),
        spec("victim", group="g", restart=restart),
        spec("last", group="g"),
        groups={"g": strategy},
    )
    policy.boot()
    if not was_ready:
        policy.command("restart", "victim")
        policy.exit("victim", code=0)
        assert policy.phase("victim") is Phase.STARTING
    generation = policy.child("victim").generation
    policy.exit("victim", **EXITS[kind])

    comes_back = kind != "permanent" and (
        restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and kind != "ok")
    )
    others: dict[Strategy, set[str]] = {
        Strategy.ONE_FOR_ONE: set(),
        Strategy.ONE_FOR_ALL: {"first", "last"},
        Strategy.REST_FOR_ONE: {"last"},
    }
    taken_down = others[strategy] if comes_back else set()
    going = {n for n in ("first", "last") if policy.child(n).goal is Goal.CYCLE}
    assert going == taken_down

    if another_dies:
        policy.exit("last", signal=SIGKILL)
    for _ in range(10):
        for name in policy.state.order:
            if policy.phase(name) is Phase.STOPPING:
                policy.exit(name, code=0)
        policy.ready(*(n for n in policy.state.order if policy.phase(n) is Phase.STARTING))
        policy.wait(1.0)
        for name in policy.state.order:
            if policy.phase(name) in {Phase.READY, Phase.DEGRADED}:
                policy.beat(name)

    assert policy.phase("first") is Phase.READY
    assert policy.phase("last") is Phase.READY
    if comes_back:
        assert policy.phase("victim") is Phase.READY
        assert policy.child("victim").generation > generation
    else:
        assert policy.phase("victim") is (Phase.FAILED if kind == "permanent" else Phase.ABSENT)
        assert policy.child("victim").generation == generation


def test_boot_starts_permanent_children_with_rising_generations() -> None:
    policy = Policy(spec("a"), spec("b"))
    assert forks(policy.command("start")) == ["a", "b"]
    assert policy.phases() == {"a": "starting", "b": "starting"}
    assert not booted(policy.state)
    assert announcements(policy.ready("a")) == [("a", 1, True)]
    policy.ready("b")
    assert booted(policy.state)
    assert healthy(policy.state)
    policy.exit("a")
    assert policy.child("a").generation == 2


def test_ready_child_restarts_at_once() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    actions = policy.exit("a", signal=SIGKILL)
    assert forks(actions) == ["a"]
    assert announcements(actions) == [("a", 1, False)]
    assert [(r.cause, r.was_ready) for r in reports(actions)] == [("SIGKILL", True)]
    assert policy.child("a").restarts == 1


def test_backoff_sequence_geometric_and_capped() -> None:
    policy = Policy(spec("a", backoff=Backoff(first_s=0.1, factor=2, max_s=1, jitter=0.5)))
    policy.command("start")
    pauses = []
    for _ in range(7):
        assert forks(policy.exit("a", code=1)) == []
        assert policy.phase("a") is Phase.BACKOFF
        pauses.append(round(policy.pause(), 6))
        assert forks(policy.wait(policy.pause())) == ["a"]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1, 1, 1]


def test_jitter_shakes_the_pause_by_the_dice_of_the_event() -> None:
    policy = Policy(spec("a", backoff=Backoff(first_s=1, jitter=0.5, max_s=10)))
    policy.command("start")
    policy.exit("a", code=1, dice=0.0)
    assert policy.pause() == pytest.approx(0.5)


def test_backoff_resets_after_quiet() -> None:
    backoff = Backoff(first_s=1, factor=2, max_s=60, jitter=0, reset_after_s=10)
    policy = Policy(spec("a", backoff=backoff, heartbeat=None))
    policy.command("start")
    for expected in (1, 2):
        policy.exit("a")
        assert policy.pause() == pytest.approx(expected)
        policy.wait(expected)
    policy.ready("a")
    policy.wait(5)
    policy.exit("a")  # ready, so at once; but not for long, so the series goes on
    assert policy.phase("a") is Phase.STARTING
    policy.exit("a")
    assert policy.pause() == pytest.approx(4)
    policy.wait(4)
    policy.ready("a")
    policy.wait(10)
    policy.exit("a")
    policy.exit("a")
    assert policy.pause() == pytest.approx(1)


def test_failed_fork_backs_off_like_a_child_that_never_became_ready() -> None:
    def refuse(fork: Fork) -> StartFailed:
        return StartFailed(child=fork.child, generation=fork.generation, reason="fork: no memory")

    policy = Policy(spec("a"), on_fork=refuse)
    actions = policy.command("start")
    assert policy.phase("a") is Phase.BACKOFF
    assert [(r.cause, r.exit) for r in reports(actions)] == [("fork: no memory", None)]


def test_intensity_is_more_than_not_at_least() -> None:
    policy = Policy(spec("a"), spec("b"), intensity=2, period_s=5)
    policy.boot()
    for _ in range(2):
        assert not given_up(policy.exit("a"))
        policy.ready("a")
    actions = policy.exit("b")
    assert given_up(actions)
    assert asked(actions) == ["a"]
    assert all_stopped(actions) is None
    stopped = all_stopped(policy.exit("a", code=0))
    assert stopped is not None
    assert stopped.failed
    assert "more than 2 restarts in 5 s" in stopped.reason


def test_intensity_window_slides() -> None:
    policy = Policy(spec("a", heartbeat=None), intensity=2, period_s=5)
    policy.boot()
    for _ in range(20):
        assert not given_up(policy.exit("a"))
        policy.ready("a")
        policy.wait(2.5)
    assert len(policy.state.restarts_s) <= 3
    policy.exit("a")
    policy.ready("a")
    assert given_up(policy.exit("a"))


def test_attempts_that_never_became_ready_count_against_intensity() -> None:
    policy = Policy(spec("a", backoff=Backoff(first_s=0.1, max_s=0.1)), intensity=3, period_s=10)
    policy.command("start")
    for _ in range(3):
        assert not given_up(policy.exit("a"))
        policy.wait(0.2)
    assert given_up(policy.exit("a"))
    assert policy.state.stopped


def test_giving_up_starts_nothing_any_more() -> None:
    policy = Policy(spec("a", shutdown=60.0), spec("b"), intensity=0)
    policy.boot()
    policy.exit("b")
    policy.command("start")
    policy.command("restart", "b")
    assert policy.phases() == {"a": "stopping", "b": "absent"}


def test_clock_jump_back_is_harmless() -> None:
    policy = Policy(spec("a", ready_timeout_s=10), intensity=2, period_s=5)
    policy.command("start")
    deadline = wake_at_s(policy.state)
    policy.now_s -= 500
    policy.ready("a")
    assert policy.state.now_s == 1000.0
    assert wake_at_s(policy.state) == 1000.0 + 3.0 < deadline
    assert signals(policy.do(Tick())) == []
    for _ in range(3):
        policy.exit("a")
        policy.ready("a")
    assert policy.state.halt is not None  # three restarts in the same moment, not spread over negative time


@pytest.mark.parametrize("code", [78, 125])
@pytest.mark.parametrize("restart", list(Restart))
def test_permanent_exit_code_not_restarted(code: int, restart: Restart) -> None:
    policy = Policy(spec("a", restart=restart), spec("b", "a"))
    policy.command("start")
    actions = policy.exit("a", code=code)
    assert policy.phase("a") is Phase.FAILED
    assert forks(actions) == ["b"]  # the others go on without it
    policy.ready("b")
    assert booted(policy.state)
    assert healthy(policy.state)
    assert degraded(policy.state) == ("a",)
    assert policy.state.restarts_s == ()
    assert forks(policy.command("start", "a")) == ["a"]


def test_operator_may_stop_a_failed_child() -> None:
    policy = Policy(spec("a"))
    policy.command("start")
    policy.exit("a", code=78)
    policy.command("stop", "a")
    assert policy.phase("a") is Phase.ABSENT


@pytest.mark.parametrize(
    ("restart", "end", "ends"),
    [
        (Restart.TRANSIENT, {"code": 0}, True),
        (Restart.TRANSIENT, {"code": 78}, True),
        (Restart.TRANSIENT, {"code": 1}, False),
        (Restart.TEMPORARY, {"code": 1}, True),
    ],
)
def test_significant_child_ends_unit(restart: Restart, end: dict[str, Any], ends: bool) -> None:
    policy = Policy(spec("job", restart=restart, significant=True), spec("other"))
    policy.boot()
    policy.exit("job", **end)
    assert (policy.phase("other") is Phase.STOPPING) is ends
    if ends:
        stopped = all_stopped(policy.exit("other", code=0))
        assert stopped is not None
        assert not stopped.failed
        assert "significant child 'job' ended" in stopped.reason


def test_a_stop_of_a_significant_child_does_not_end_the_unit() -> None:
    policy = Policy(spec("job", restart=Restart.TEMPORARY, significant=True), spec("other"))
    policy.boot()
    policy.command("stop", "job")
    policy.exit("job", code=1)
    assert policy.phase("other") is Phase.READY


def test_normal_end_of_a_transient_child_makes_no_report_and_that_of_a_permanent_one_does() -> None:
    policy = Policy(spec("t", restart=Restart.TRANSIENT), spec("p"))
    policy.boot()
    assert reports(policy.exit("t", code=0)) == []
    assert [r.cause for r in reports(policy.exit("p", code=0))] == ["exit code 0"]


def test_oom_is_named_as_the_cause() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    assert [r.cause for r in reports(policy.exit("a", signal=SIGKILL, oom=True))] == ["SIGKILL (out of memory)"]


def test_messages_of_an_older_generation_are_ignored() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.exit("a")
    assert policy.child("a").generation == 2
    before = policy.state
    assert policy.do(Ready(child="a", generation=1)) == []
    assert policy.do(Exited(child="a", generation=1, exit=Exit(code=1))) == []
    assert policy.do(Ready(child="nobody", generation=1)) == []
    assert policy.state == before


def test_decide_leaves_the_state_it_was_given_as_it_is() -> None:
    state = initial(Tree(children=(spec("a"),)))
    after, _ = decide(state, Command(verb=Verb.START), 1.0)
    assert state.children["a"].phase is Phase.ABSENT
    assert after.children["a"].phase is Phase.STARTING


def test_end_by_sigterm_when_asked_is_no_crash_and_another_signal_is() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.command("restart", "a")
    assert reports(policy.exit("a", signal=SIGTERM)) == []
    policy.ready("a")
    policy.command("restart", "a")
    assert [r.cause for r in reports(policy.exit("a", signal=11))] == ["restart requested (SIGSEGV)"]


@pytest.mark.parametrize(
    ("end", "blame"),
    [
        ({"signal": SIGKILL}, False),
        ({"signal": SIGKILL, "oom": True}, True),
        ({"signal": 11}, True),
        ({"code": 1}, True),
    ],
)
def test_a_crash_is_blamed_on_the_work_and_a_kill_from_outside_is_not(end: dict[str, Any], blame: bool) -> None:
    policy = Policy(spec("a"))
    policy.boot()
    assert [a.blame for a in policy.exit("a", **end) if isinstance(a, Announce)] == [blame]
