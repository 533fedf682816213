"""When the next collection is due, on a clock of the test."""

from __future__ import annotations

import pytest

from actors.metadata.schedule import FAILED_S, LATEST_S, NEVER, Schedule
from config.settings import Gc


def ready(settings: Gc | None = None) -> Schedule:
    """One whose first collection ended at second 10 after 20 ms of work."""
    schedule = Schedule(settings or Gc(), now_s=0.0)
    schedule.began()
    schedule.ended(busy_s=0.020, now_s=10.0)
    return schedule


def test_the_first_one_always_runs_after_the_startup_delay() -> None:
    assert Schedule(Gc(), now_s=5.0).due_s() == pytest.approx(5.1)
    assert Schedule(Gc(startup_delay_s=3.0), now_s=5.0).due_s() == pytest.approx(8.0)


def test_without_a_reason_none_is_due_but_once_in_a_long_while() -> None:
    assert ready().due_s() == 10.0 + LATEST_S


@pytest.mark.parametrize(("busy_s", "interval_s"), [(0.020, 0.98), (0.0001, 0.245), (1.0, 49.0)])
def test_the_share_of_time_that_is_spent_is_at_most_the_threshold(busy_s: float, interval_s: float) -> None:
    schedule = Schedule(Gc(), now_s=0.0)
    schedule.began()
    schedule.ended(busy_s=busy_s, now_s=10.0)
    assert schedule.interval_s == pytest.approx(interval_s)
    schedule.noted(deletions=1, mutations=1, now_s=10.0)
    assert schedule.due_s() == pytest.approx(10.0 + interval_s)


def test_a_deletion_makes_the_next_one_run_that_is_allowed_or_one_now() -> None:
    schedule = ready()
    schedule.noted(deletions=1, mutations=1, now_s=10.1)
    assert schedule.due_s() == pytest.approx(10.98)
    late = ready()
    late.noted(deletions=1, mutations=1, now_s=50.0)
    assert late.due_s() == 50.0


def test_changes_count_from_their_threshold_on() -> None:
    schedule = ready(Gc(mutation_threshold=3))
    schedule.noted(deletions=0, mutations=2, now_s=20.0)
    assert schedule.due_s() > 1000
    schedule.noted(deletions=0, mutations=1, now_s=21.0)
    assert schedule.due_s() == 21.0
    never = ready(Gc(mutation_threshold=0))
    never.noted(deletions=0, mutations=10**6, now_s=20.0)
    assert never.due_s() > 1000


def test_so_many_deletions_do_not_wait_for_what_is_allowed() -> None:
    schedule = ready(Gc(deletion_threshold=2, schedule_delay_s=0.01))
    schedule.noted(deletions=1, mutations=1, now_s=10.1)
    assert schedule.due_s() == pytest.approx(10.98)
    schedule.noted(deletions=1, mutations=1, now_s=10.2)
    assert schedule.due_s() == pytest.approx(10.21)


def test_a_request_waits_for_the_delay_alone_and_a_second_one_does_not_put_it_off() -> None:
    schedule = ready(Gc(schedule_delay_s=0.5))
    schedule.requested(now_s=10.1)
    schedule.requested(now_s=10.4)
    assert schedule.due_s() == pytest.approx(10.6)


def test_what_expires_is_a_reason_at_its_time() -> None:
    schedule = ready()
    schedule.expires(60.0)
    assert schedule.due_s() == 60.0
    schedule.expires(NEVER)
    assert schedule.due_s() > 1000
    schedule.expires(10.2)
    assert schedule.due_s() == pytest.approx(10.98)


def test_what_happens_during_one_is_a_reason_for_another() -> None:
    schedule = ready()
    schedule.requested(now_s=20.0)
    schedule.began()
    schedule.noted(deletions=1, mutations=1, now_s=20.1)
    schedule.ended(busy_s=0.02, now_s=20.2)
    assert schedule.due_s() == pytest.approx(20.2 + 0.98)


def test_after_a_failure_it_is_tried_again_but_not_at_once() -> None:
    schedule = ready()
    schedule.began()
    schedule.failed(now_s=30.0)
    assert schedule.due_s() == pytest.approx(30.0 + 0.98 + FAILED_S)
