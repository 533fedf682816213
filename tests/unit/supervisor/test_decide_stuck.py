"""The rules of the policy for children that are stuck: heartbeats, the ladder of signals, health."""

from __future__ import annotations

from typing import Any

from supervisor.events import Announce, Tick
from supervisor.spec import ChildSpec, Heartbeat
from supervisor.state import Phase, healthy
from tests.support.policy import SIGABRT, SIGKILL, Policy, forks, reports, signals


def spec(name: str, *depends_on: str, **fields: Any) -> ChildSpec:
    return ChildSpec(**{"id": name, "start": "m:f", "depends_on": depends_on, **fields})


def test_missed_series_dumps_aborts_and_kills() -> None:
    policy = Policy(spec("a", heartbeat=Heartbeat(interval_s=1, misses=3, step_s=0.5)))
    policy.boot()
    policy.wait(2.9)
    policy.beat("a")
    actions = policy.wait(2.9)
    assert actions == []
    actions = policy.wait(0.1)
    assert [type(a).__name__ for a in actions] == ["DumpStack"]
    assert policy.phase("a") is Phase.DEGRADED
    assert not healthy(policy.state)
    assert signals(policy.wait(0.5)) == [("a", SIGABRT)]
    assert signals(policy.wait(0.5)) == [("a", SIGKILL)]
    assert policy.wait(1000) == []
    assert not healthy(policy.state)
    actions = policy.exit("a", signal=SIGKILL)
    assert [r.cause for r in reports(actions)] == ["no beat for 3 s (SIGKILL)"]
    assert forks(actions) == ["a"]


def test_a_late_beat_makes_a_degraded_child_ready_again() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.wait(3.1)
    assert policy.phase("a") is Phase.DEGRADED
    policy.beat("a")
    assert policy.phase("a") is Phase.READY
    assert signals(policy.wait(2.9)) == []
    assert policy.child("a").cause == ""


def test_a_beat_after_the_abort_changes_nothing() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.wait(3.6)
    policy.beat("a")
    assert policy.phase("a") is Phase.DEGRADED
    assert signals(policy.wait(1)) == [("a", SIGKILL)]


def test_never_ready_child_is_dumped_and_killed_and_backs_off() -> None:
    policy = Policy(spec("a", ready_timeout_s=2))
    policy.command("start")
    actions = policy.wait(10)
    assert signals(actions) == [("a", SIGABRT), ("a", SIGKILL)]
    actions = policy.exit("a", signal=SIGKILL)
    assert [r.cause for r in reports(actions)] == ["not ready within 2 s (SIGKILL)"]
    assert policy.phase("a") is Phase.BACKOFF


def test_ready_between_the_dump_and_the_abort_is_taken() -> None:
    policy = Policy(spec("a", ready_timeout_s=2))
    policy.command("start")
    policy.wait(2.1)
    policy.ready("a")
    assert policy.phase("a") is Phase.READY
    assert signals(policy.wait(2)) == []


def test_child_without_heartbeat_is_never_degraded() -> None:
    policy = Policy(spec("a", heartbeat=None))
    policy.boot()
    assert policy.wait(10_000) == []
    assert policy.phase("a") is Phase.READY


def test_process_that_survives_sigkill_makes_the_tree_unhealthy() -> None:
    policy = Policy(spec("a", shutdown=1.0))
    policy.boot()
    policy.command("restart", "a")
    policy.wait(1)
    assert healthy(policy.state)
    policy.wait(11)
    policy.do(Tick())
    assert not healthy(policy.state)


def test_a_stuck_child_is_blamed_and_a_stopped_one_is_not() -> None:
    policy = Policy(spec("a"))
    policy.boot()
    policy.wait(5)
    assert [a.blame for a in policy.exit("a", signal=SIGKILL) if isinstance(a, Announce)] == [True]
    policy.ready("a")
    policy.command("restart", "a")
    assert [a.blame for a in policy.exit("a", code=1) if isinstance(a, Announce)] == [False]
