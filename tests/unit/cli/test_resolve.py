"""From what was typed to what is meant."""

from __future__ import annotations

import pytest

from cli.resolve import image_names, match_id
from wharfie.errors import FailedPrecondition, NotFound

IDS = ["web", "web2", "abc123", "abd456"]


@pytest.mark.parametrize(("text", "id_"), [("web", "web"), ("web2", "web2"), ("abc", "abc123"), ("abd456", "abd456")])
def test_an_exact_id_wins_and_a_unique_beginning_is_enough(text: str, id_: str) -> None:
    assert match_id(text, IDS) == id_


@pytest.mark.parametrize("text", ["", "x", "eb", "web22"])
def test_what_no_id_begins_with_is_not_found(text: str) -> None:
    with pytest.raises(NotFound) as caught:
        match_id(text, IDS)
    assert caught.value.details["kind"] == "container"


def test_an_ambiguous_beginning_is_refused_with_the_ids() -> None:
    with pytest.raises(FailedPrecondition, match="abc123, abd456") as caught:
        match_id("ab", IDS)
    assert caught.value.details["reason"] == "ambiguous"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("busybox", ["busybox", "busybox:latest"]),
        ("busybox:1", ["busybox:1"]),
        ("host:5000/busybox", ["host:5000/busybox", "host:5000/busybox:latest"]),
        ("busybox@sha256:00", ["busybox@sha256:00"]),
    ],
)
def test_the_tag_latest_is_tried_when_none_is_given(text: str, names: list[str]) -> None:
    assert image_names(text) == names
