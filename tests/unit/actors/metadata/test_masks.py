"""Update masks, pure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.metadata import masks
from actors.metadata.masks import Path
from wharfie.errors import InvalidArgument

FIELDS = masks.Fields("a thing", frozenset({"labels", "spec"}), frozenset({"labels"}), (Path("labels"), Path("spec")))

labels = st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=3), max_size=4)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([], (Path("labels"), Path("spec"))),
        (["spec"], (Path("spec"),)),
        (["labels.a.b/c"], (Path("labels", "a.b/c"),)),
        (["labels.x", "labels"], (Path("labels", "x"), Path("labels"))),
        (["labels.."], (Path("labels", "."),)),
    ],
)
def test_a_path_is_a_field_or_all_after_its_first_dot_is_a_key(mask: list[str], expected: tuple[Path, ...]) -> None:
    assert masks.parse(mask, FIELDS) == expected


@pytest.mark.parametrize("path", ["", ".", "labels.", "spec.x", "id", "Labels", "labels ", "x" * 300])
def test_an_unknown_path_is_refused_and_named(path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        masks.parse(["labels", path], FIELDS)
    assert caught.value.details == {"field": "mask", "path": path[:64]}
    assert "labels.KEY" in str(caught.value)


@pytest.mark.parametrize(
    ("current", "wanted", "key", "expected"),
    [
        ({"a": "1"}, {"b": "2"}, "", {"b": "2"}),
        ({"a": "1"}, {"b": ""}, "", {}),
        ({"a": "1"}, {"b": "2", "c": "3"}, "b", {"a": "1", "b": "2"}),
        ({"a": "1", "b": "2"}, {"b": ""}, "b", {"a": "1"}),
        ({"a": "1", "b": "2"}, {}, "b", {"a": "1"}),
        ({"a": "1"}, {"a": "2"}, "a", {"a": "2"}),
        ({}, {}, "a", {}),
    ],
)
def test_labels(current: dict[str, str], wanted: dict[str, str], key: str, expected: dict[str, str]) -> None:
    assert masks.merged(current, wanted, key) == expected


@settings(deadline=None)
@given(labels, labels, st.text(min_size=1, max_size=3))
def test_one_key_changes_no_other_and_no_empty_value_is_left(
    current: dict[str, str], wanted: dict[str, str], key: str
) -> None:
    result = masks.merged(current, wanted, key)
    assert all(result.values())
    assert {k: v for k, v in result.items() if k != key} == {k: v for k, v in current.items() if k != key and v}
    assert result.get(key, "") == wanted.get(key, "")


@settings(deadline=None)
@given(labels, labels)
def test_updating_twice_is_updating_once(current: dict[str, str], wanted: dict[str, str]) -> None:
    for key in ["", *wanted]:
        once = masks.merged(current, wanted, key)
        assert masks.merged(once, wanted, key) == once


@pytest.mark.parametrize(
    ("wanted", "key", "expected"),
    [({"b": 2}, "", {"b": 2}), ({"b": 2}, "b", {"a": 1, "b": 2}), ({}, "a", {}), ({"a": {}}, "a", {"a": {}})],
)
def test_values_that_are_no_texts_are_deleted_by_absence_only(
    wanted: dict[str, object], key: str, expected: dict[str, object]
) -> None:
    assert masks.merged_values({"a": 1}, wanted, key) == expected
