"""Which platform fits which."""

from __future__ import annotations

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci import platforms


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_platforms_have_one_spelling(text: str, shown: str) -> None:
    assert platforms.shown(platforms.parse(text)) == shown


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "a/b/c/d"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        platforms.parse(text)
    assert caught.value.details["field"] == "platform"


@pytest.mark.parametrize(
    ("found", "wanted", "runs"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/amd64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/amd64/v2", "linux/amd64", False),
        ("linux/amd64", "linux/amd64/v3", True),
        ("linux/arm/v8", "linux/arm64", False),
    ],
)
def test_a_processor_runs_what_was_made_for_older_ones(found: str, wanted: str, runs: bool) -> None:
    assert (platforms.rank(platforms.parse(found), platforms.parse(wanted)) >= 0) is runs


def test_the_exact_platform_is_better_than_an_older_one() -> None:
    wanted = platforms.parse("linux/arm/v7")
    ranks = [platforms.rank(platforms.parse(f"linux/arm/{variant}"), wanted) for variant in ("v7", "v6", "v5")]
    assert ranks == sorted(ranks)
    assert ranks[0] == 0


def test_what_nobody_says_is_worse_than_all_that_fit_and_better_than_none() -> None:
    wanted = platforms.parse("linux/arm/v7")
    worst = platforms.rank(platforms.parse("linux/arm/v5"), wanted)
    assert worst < platforms.rank(None, wanted)
