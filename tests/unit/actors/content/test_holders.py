"""Who keeps whom away from a ref."""

from __future__ import annotations

import pytest

from actors.content.holders import ALIVE_SILENCE_S, SILENCE_S, Holders
from wharfie.errors import Unavailable

REF = ("ns", "ref")


class Rig:
    """Holders on a clock and a table of processes of the test's."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.alive = {1, 2}
        self.holders = Holders(clock=lambda: self.now_s, is_alive=lambda pid: pid in self.alive)

    def enter(self, writer: str, *, pid: int = 1) -> None:
        self.holders.enter(REF, writer, pid=pid)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("other", ["two", ""])
def test_a_writer_keeps_all_others_away(rig: Rig, other: str) -> None:
    rig.enter("one")
    rig.now_s += 3
    with pytest.raises(Unavailable, match=r"for 3\.0 s") as raised:
        rig.enter(other, pid=2)
    assert raised.value.retryable
    assert raised.value.details["reason"] == "locked"
    rig.enter("one")
    rig.holders.enter(("ns", "another"), "two", pid=2)
    rig.holders.enter(("other", "ref"), "two", pid=2)


def test_who_has_no_name_holds_nothing(rig: Rig) -> None:
    rig.enter("")
    rig.enter("two", pid=2)


def test_a_ref_that_was_left_is_free(rig: Rig) -> None:
    rig.enter("one")
    rig.holders.leave(REF)
    rig.holders.leave(REF)
    rig.enter("two", pid=2)


@pytest.mark.parametrize(("pid", "limit_s"), [(0, SILENCE_S), (1, ALIVE_SILENCE_S)])
def test_a_writer_that_is_silent_for_long_loses_the_ref_and_one_that_writes_does_not(
    rig: Rig, pid: int, limit_s: float
) -> None:
    rig.enter("one", pid=pid)
    for _ in range(5):
        rig.now_s += limit_s
        rig.enter("one", pid=pid)
    with pytest.raises(Unavailable):
        rig.enter("two", pid=2)
    rig.now_s += limit_s + 0.1
    rig.enter("two", pid=2)
    with pytest.raises(Unavailable):
        rig.enter("one", pid=pid)


def test_a_dead_process_holds_nothing(rig: Rig) -> None:
    rig.enter("one")
    rig.alive.remove(1)
    rig.enter("two", pid=2)
    rig.holders.leave(REF)
    rig.enter("one", pid=1)
    rig.enter("")


def test_the_table_does_not_grow_with_writers_that_are_gone(rig: Rig) -> None:
    for number in range(3000):
        rig.holders.enter(("ns", str(number)), "one", pid=1)
        rig.now_s += ALIVE_SILENCE_S / 1000
    assert len(rig.holders._holders) < 2000
