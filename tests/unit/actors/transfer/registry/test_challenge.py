from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.challenge import Challenge, choose, parse_challenges

BEARER = 'Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push"'


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (
            [BEARER],
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "r.example",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (['Basic realm="x"'], [Challenge("basic", {"realm": "x"})]),
        (["Basic"], [Challenge("basic", {})]),
        (["BASIC REALM=x"], [Challenge("basic", {"realm": "x"})]),
        (
            ['Basic realm="a, b", Bearer realm="c"'],
            [Challenge("basic", {"realm": "a, b"}), Challenge("bearer", {"realm": "c"})],
        ),
        (
            ['Bearer realm = "a" , error="invalid_token"'],
            [Challenge("bearer", {"realm": "a", "error": "invalid_token"})],
        ),
        ([r'Basic realm="say \"hi\" \\"'], [Challenge("basic", {"realm": 'say "hi" \\'})]),
        (["Negotiate", 'Basic realm="x"'], [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ([""], []),
        (['"nonsense"'], []),
        (['Bearer realm="never ends'], [Challenge("bearer", {})]),
    ],
)
def test_challenges_are_read_from_headers(headers: list[str], found: list[Challenge]) -> None:
    assert parse_challenges(headers) == found


@given(st.text(alphabet='Bearer Basic=",\\\t realm abc', max_size=200))
def test_no_header_breaks_the_reader(text: str) -> None:
    for challenge in parse_challenges([text]):
        assert challenge.scheme == challenge.scheme.lower()


def test_a_long_header_is_read_in_no_time() -> None:
    assert len(parse_challenges(["Basic " * 100_000])) < 5000
    parse_challenges(['Bearer realm="' + "\\" * 100_000])


def test_bearer_goes_before_basic() -> None:
    basic, bearer = Challenge("basic", {}), Challenge("bearer", {"realm": "http://x"})
    assert choose([basic, bearer]) == bearer
    assert choose([basic]) == basic
    assert choose([Challenge("negotiate", {})]) is None


def test_bearer_without_a_realm_is_no_way_in() -> None:
    assert choose([Challenge("bearer", {})]) is None
