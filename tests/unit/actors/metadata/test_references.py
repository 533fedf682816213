"""What labels say, and times as they are written in them."""

from __future__ import annotations

import pytest

from actors.metadata.references import (
    Condition,
    Reference,
    Relation,
    condition_of,
    expires_ns,
    references,
    rfc3339,
    time_ns,
)

GC = "containerd.io/gc."


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("root", "2020", Reference(Relation.ROOT, "", "")),
        ("ref.content", "d", Reference(Relation.FORWARD, "content", "d")),
        ("ref.content.l.0", "d", Reference(Relation.FORWARD, "content", "d")),
        ("ref.content/l", "d", Reference(Relation.FORWARD, "content", "d")),
        ("ref.snapshot.overlayfs", "k", Reference(Relation.FORWARD, "snapshots/overlayfs", "k")),
        ("ref.snapshot.native/x.y", "k", Reference(Relation.FORWARD, "snapshots/native", "k")),
        ("ref.snapshot.native.x", "k", Reference(Relation.FORWARD, "snapshots/native", "k")),
        ("ref.image.a", "n", Reference(Relation.FORWARD, "images", "n")),
        ("bref.container", "c", Reference(Relation.BACK, "containers", "c")),
        ("bref.snapshot.native", "k", Reference(Relation.BACK, "snapshots/native", "k")),
        ("cond.snapshot.native/1", "usedat<1h|k", Reference(Relation.CONDITION, "snapshots/native", "usedat<1h|k")),
    ],
)
def test_a_label_is_a_reference(key: str, value: str, expected: Reference) -> None:
    assert references({f"{GC}{key}": value, "other": "x"}) == {expected}


@pytest.mark.parametrize(
    "key",
    ["ref", "ref.", "ref.contents", "ref.snapshot", "ref.snapshot.", "ref.snapshot/native", "rootless", "root.x", "flat",
     "expire", "cond.content", "cond.value-usedat", "bref", ""],
)  # fmt: skip
def test_other_labels_are_none(key: str) -> None:
    assert references({f"{GC}{key}": "value"}) == frozenset()


def test_an_empty_value_refers_to_nothing() -> None:
    assert references({f"{GC}ref.content": "", f"{GC}root": ""}) == frozenset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:00+01:00", 0),
        ("2001-02-03T04:05:06.789012Z", 981173106_789012000),
        ("2001-02-03T04:05:06.123456789Z", 981173106_123456000),
        ("2001-02-03T04:05:06", None),
        ("2001-02-03", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, expected: int | None) -> None:
    assert time_ns(text) == expected
    assert expires_ns({f"{GC}expire": text}) == expected


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_an_expiry_is_a_number_that_the_database_can_hold(text: str) -> None:
    at_ns = expires_ns({f"{GC}expire": text})
    assert at_ns is not None
    assert abs(at_ns) == 2**63 - 1
    assert (at_ns > 0) == text.startswith("9")


def test_a_written_time_is_read_again() -> None:
    assert time_ns(rfc3339(1_700_000_000 * 10**9)) == 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("usedat<24h|k", Condition(True, 24 * 3600 * 10**9, "k")),
        ("usedat>1h30m5.5s|a|b", Condition(False, 5405_500_000_000, "a|b")),
        ("usedat>10ms|k", Condition(False, 10_000_000, "k")),
        ("usedat<1m1ms|k", Condition(True, 60_001_000_000, "k")),
        ("usedat<1us|k", Condition(True, 1000, "k")),
        ("usedat<24|k", None),
        ("usedat<|k", None),
        ("usedat<h|k", None),
        ("usedat=1h|k", None),
        ("usedat<1h", None),
        ("usedat<1h|", None),
        ("usedat<1.2.3h|k", None),
        ("", None),
    ],
)
def test_conditions_are_read_or_are_none(text: str, expected: Condition | None) -> None:
    assert condition_of(text) == expected
