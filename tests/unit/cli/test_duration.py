"""Durations, ages and timestamps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.duration import ago, parse_seconds, spoken, timestamp


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("1.5", 1.5), (".5", 0.5), ("500ms", 0.5), ("2m", 120), ("1h30m", 5400), ("1d", 86400), ("0", 0)],
)
def test_a_duration_is_a_number_of_seconds_or_has_units(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "1m30", "10 s", "1..5", "m", "infinity", "nan"])
def test_another_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not a duration"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than a second"),
        (1, "1 second"),
        (5, "5 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "about an hour"),
        (7200, "2 hours"),
        (90000, "25 hours"),
        (2 * 86400, "2 days"),
        (15 * 86400, "2 weeks"),
        (70 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


@given(st.floats(min_value=0, max_value=1e10))
def test_every_length_of_time_has_words(seconds: float) -> None:
    assert spoken(seconds)


def test_an_age_never_lies_in_the_future() -> None:
    assert ago(2_000_000_000, 1_000_000_000) == "less than a second ago"
    assert ago(0, 1) == "-"


def test_a_timestamp_keeps_its_nanoseconds() -> None:
    assert timestamp(1_700_000_000_000_000_042) == "2023-11-14T22:13:20.000000042Z"
    assert timestamp(0) == "-"
