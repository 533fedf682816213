"""When a small blob is stored in the loop, and when elsewhere."""

from __future__ import annotations

from actors.content.putting import QUICK_S, Pace


def test_it_begins_quick_and_one_slow_sync_does_not_change_that() -> None:
    pace = Pace()
    assert pace.is_quick()
    pace.took(QUICK_S * 4)
    assert pace.is_quick()


def test_a_slow_disk_is_noticed_and_looked_at_again_now_and_then() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(QUICK_S * 10)
    tries = [pace.is_quick() for _ in range(200)]
    assert tries.count(True) == 3
    assert not tries[0]


def test_a_disk_that_has_become_quick_again_is_used_quickly() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(QUICK_S * 3)
    assert not pace.is_quick()
    for _ in range(20):
        pace.took(QUICK_S / 10)
    assert pace.is_quick()
