from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.document import Document
from config.merge import merge, merge_tables
from config.table import table

scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text("ab", max_size=2))
trees = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), scalars | st.lists(st.integers(0, 4), max_size=3), max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner | scalars, max_size=4),
    max_leaves=12,
)

VALUES = {
    "oom_score": st.integers(-2, 2),
    "temp": st.sampled_from(["", "/a", "/b"]),
    "router.mode": st.sampled_from([0, 0o600, 0o660]),
    "disabled_plugins": st.lists(st.sampled_from(["t.a", "t.b", "t.c"]), unique=True).map(tuple),
}


@st.composite
def documents(draw: st.DrawFn, name: str) -> Document:
    values = {key: draw(value) for key, value in VALUES.items() if draw(st.booleans())}
    timeouts = draw(st.dictionaries(st.sampled_from(["shim.load", "task.state"]), st.floats(0.1, 9)))
    plugins: Any = draw(st.dictionaries(st.sampled_from(["t.a", "t.b"]), trees))
    keys = [*values, *(f"timeouts.{key}" for key in timeouts), *(f"plugins.{key}" for key in plugins)]
    return Document(values=values, timeouts=timeouts, plugins=plugins, sources=dict.fromkeys(keys, name))


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, (*path, name)).items()}


@given(documents("base"), documents("over"))
def test_a_value_that_is_not_empty_overrides_and_an_empty_one_never_does(base: Document, over: Document) -> None:
    merged, dropped = merge(base, over)
    for key in VALUES:
        mine, theirs = base.values.get(key), over.values.get(key)
        if isinstance(mine, tuple) and isinstance(theirs, tuple):
            continue
        assert merged.values.get(key) == (theirs or mine)
        was = mine if key in base.values else table()[key].default
        assert (key in dropped) == (theirs is not None and not theirs and bool(was))


@given(documents("base"), documents("over"))
def test_arrays_are_united_in_order_and_without_duplicates(base: Document, over: Document) -> None:
    merged, _ = merge(base, over)
    mine: Any = base.values.get("disabled_plugins", ())
    theirs: Any = over.values.get("disabled_plugins", ())
    assert merged.values.get("disabled_plugins", ()) == (*mine, *(entry for entry in theirs if entry not in mine))


@given(documents("base"), documents("over"))
def test_timeouts_are_replaced_by_name(base: Document, over: Document) -> None:
    merged, _ = merge(base, over)
    assert merged.timeouts == {**base.timeouts, **over.timeouts}


@given(documents("base"), documents("over"))
def test_neither_document_changes_and_merging_again_changes_nothing(base: Document, over: Document) -> None:
    before = copy.deepcopy((base, over))
    merged, _ = merge(base, over)
    assert (base, over) == before
    again, _ = merge(merged, over)
    assert again == merged
    assert merge(Document(), Document())[0] == Document()


@given(documents("base"), documents("over"))
def test_the_source_of_a_value_is_the_file_that_it_came_from(base: Document, over: Document) -> None:
    merged, _ = merge(base, over)
    for key, value in merged.values.items():
        expected = "over" if over.values.get(key) else "base"
        assert merged.sources[key] == expected, (key, value)
    for name in merged.timeouts:
        assert merged.sources[f"timeouts.{name}"] == ("over" if name in over.timeouts else "base")


def reaches(tree: Any, path: tuple[str, ...]) -> bool:
    """Whether a tree has something at a path or a value on the way there; an empty table is something, too."""
    for key in path:
        if not isinstance(tree, dict):
            return True
        if key not in tree:
            return False
        tree = tree[key]
    return True


@given(trees, trees)
def test_tables_of_plugins_keep_every_leaf_that_is_not_overridden(base: Any, over: Any) -> None:
    dropped: list[str] = []
    before = copy.deepcopy((base, over))
    merged = leaves(merge_tables(base, over, dropped=dropped))
    assert (base, over) == before
    theirs = leaves(over)
    for path, value in theirs.items():
        if value and not isinstance(value, list):
            assert merged[path] == value
    for path, value in leaves(base).items():
        if not reaches(over, path):
            assert merged[path] == value
        if path in theirs and value and not theirs[path]:
            assert merged[path] == value
            assert ".".join(path) in dropped or isinstance(value, list)


def test_a_table_of_empty_tables_takes_the_place_of_a_value() -> None:
    assert merge_tables({"a": False}, {"a": {"a": {}}}, dropped=[]) == {"a": {"a": {}}}


def test_two_drop_ins_for_nested_parts_of_one_plugin_both_survive() -> None:
    first = Document(plugins={"t.a": {"x": {"one": 1}, "list": [{"k": 1}]}}, sources={"plugins.t.a": "1"})
    second = Document(plugins={"t.a": {"x": {"two": 2}, "list": [{"k": 1}, {"k": 2}]}}, sources={"plugins.t.a": "2"})
    merged, _ = merge(merge(Document(), first)[0], second)
    assert merged.plugins == {"t.a": {"x": {"one": 1, "two": 2}, "list": [{"k": 1}, {"k": 2}]}}


def test_a_table_does_not_give_way_to_an_empty_text() -> None:
    dropped: list[str] = []
    assert merge_tables({"a": {"b": 1}}, {"a": ""}, dropped=dropped) == {"a": {"b": 1}}
    assert dropped == ["a"]
