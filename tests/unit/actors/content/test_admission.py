"""The rule where a write may go, over its whole matrix."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.content.admission import Step, decide

SIZES = st.integers(0, 6)


def step(offset: int, current: int, *, inherited: int = 0, repeated: bool = False, keyed: bool = False) -> Step:
    return decide(offset=offset, current=current, inherited=inherited, repeated=repeated, keyed=keyed)


def test_a_write_at_the_end_is_appended_and_no_other_one() -> None:
    assert step(0, 0) is Step.APPEND
    assert step(5, 5) is Step.APPEND
    assert step(4, 5) is Step.REFUSE
    assert step(6, 5) is Step.REFUSE


def test_offset_zero_begins_anew_whatever_is_there() -> None:
    assert step(0, 5) is Step.TRUNCATE
    assert step(0, 5, inherited=5, keyed=True) is Step.TRUNCATE


def test_a_repeated_write_is_compared_with_what_is_there() -> None:
    assert step(0, 5, repeated=True) is Step.COMPARE
    assert step(3, 5, repeated=True) is Step.COMPARE
    assert step(5, 5, repeated=True) is Step.APPEND
    assert step(6, 5, repeated=True) is Step.REFUSE


def test_after_a_restart_a_keyed_write_into_what_nobody_remembers_is_compared() -> None:
    assert step(3, 5, inherited=5, keyed=True) is Step.COMPARE
    assert step(3, 9, inherited=5, keyed=True) is Step.COMPARE
    assert step(5, 9, inherited=5, keyed=True) is Step.REFUSE
    assert step(3, 5, inherited=5, keyed=False) is Step.REFUSE


@given(SIZES, SIZES, SIZES, st.booleans(), st.booleans())
def test_nothing_ever_leaves_a_gap_or_overwrites(
    offset: int, current: int, inherited: int, repeated: bool, keyed: bool
) -> None:
    found = decide(offset=offset, current=current, inherited=min(inherited, current), repeated=repeated, keyed=keyed)
    if offset > current:
        assert found is Step.REFUSE
    if found is Step.APPEND:
        assert offset == current
    if found is Step.COMPARE:
        assert offset < current
    if found is Step.TRUNCATE:
        assert offset == 0
