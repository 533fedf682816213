from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.policy import Policy, retry_after_s
from config.settings import Registry

NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@given(st.integers(1, 1000), st.floats(0, 1))
def test_waits_grow_to_their_limit_and_are_never_longer(attempt: int, chance: float) -> None:
    policy = Policy(backoff_first_s=0.5, backoff_max_s=4.0)
    wait_s = policy.wait_s(attempt, jitter=lambda: chance)
    assert 0 < wait_s <= 4.0
    assert wait_s <= policy.wait_s(attempt + 1, jitter=lambda: 1.0)


def test_each_wait_is_twice_the_one_before() -> None:
    policy = Policy(backoff_first_s=0.5, backoff_max_s=100.0)
    assert [policy.wait_s(attempt, jitter=lambda: 1.0) for attempt in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("²", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait_s: float | None) -> None:
    assert retry_after_s(value, NOW_S) == wait_s


@given(st.text(max_size=60))
def test_no_header_breaks_the_reader(value: str) -> None:
    found = retry_after_s(value, NOW_S)
    assert found is None or found >= 0


def test_the_defaults_are_those_of_the_configuration() -> None:
    assert Policy.of(Registry()) == Policy()
