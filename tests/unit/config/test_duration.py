from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.duration import MAX_DURATION_S, NS_PER_S, format_duration, parse_duration
from config.error import BadValue

UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("300ms", 0.3),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("2h45m0.5s", 9900.5),
        ("100us", 1e-4),
        ("100µs", 1e-4),
        ("100μs", 1e-4),
        ("7ns", 7e-9),
        ("0", 0.0),
        ("-0", 0.0),
        ("+5s", 5.0),
        ("0s", 0.0),
        ("1m1m", 120.0),
        (5, 5.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_text_with_units(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("5", "the unit is missing"),
        ("1.5", "the unit is missing"),
        ("", "write numbers with units"),
        ("s", "write numbers with units"),
        (".s", "write numbers with units"),
        ("5 s", "write numbers with units"),
        ("5sec", "write numbers with units"),
        ("5s ", "write numbers with units"),
        ("1d", "write numbers with units"),
        ("5S", "write numbers with units"),
        ("\u0665s", "write numbers with units"),
        ("1m-30s", "write numbers with units"),
        ("-5s", "not negative"),
        (-1, "not negative"),
        (-0.5, "not negative"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        ("9223372036.9s", "finite"),
        (1e300, "at most"),
        ("9" * 65 + "s", "at most 64 characters"),
        (True, "a number of seconds or a text"),
        (None, "a number of seconds or a text"),
        (["5s"], "a number of seconds or a text"),
        ({}, "a number of seconds or a text"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_to_write(value: object, remedy: str) -> None:
    with pytest.raises(BadValue, match=remedy):
        parse_duration(value)


@given(st.integers(min_value=0, max_value=2**53))
def test_a_formatted_duration_is_read_back_to_the_nanosecond(nanoseconds: int) -> None:
    seconds = nanoseconds / NS_PER_S
    assert round(parse_duration(format_duration(seconds)) * NS_PER_S) == nanoseconds


@given(
    st.lists(
        st.tuples(st.integers(0, 9_999), st.sampled_from(sorted(UNITS_S))),
        min_size=1,
        max_size=5,
    )
)
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{count}{unit}" for count, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(count * UNITS_S[unit] for count, unit in parts))


@given(st.text(max_size=80))
def test_any_text_is_a_duration_in_range_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except BadValue:
        return
    assert 0 <= seconds <= MAX_DURATION_S


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (0.3, "300ms"), (90, "1m30s"), (3600, "1h"), (3605.5, "1h5.5s"), (0.00015, "150us"), (1.5e-9, "2ns")],
)
def test_a_duration_is_written_as_short_as_a_person_would(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
