"""Tables and JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cli.output import fields, json_text, labels_text, plain, short_id, table
from wharfie.types.supervisor import Actor, ActorState
from wharfie.types.tasks import Process


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("wide cell", 1), ("x", 22)]) == "A           LONG\nwide cell   1\nx           22\n"


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("A", "B"), []) == "A   B\n"


@given(st.lists(st.tuples(st.text(), st.text())))
def test_a_cell_never_breaks_its_line_nor_writes_to_the_terminal(rows: list[tuple[str, str]]) -> None:
    text = table(("A", "B"), rows)
    assert text.count("\n") == len(rows) + 1
    assert all(letter.isprintable() for letter in text.replace("\n", ""))


def test_a_message_becomes_a_map_with_every_field_also_those_at_their_default() -> None:
    value = plain(Actor(name="content", state=ActorState.READY))
    assert {"name", "pid", "generation", "state", "restarts", "uptime_s", "queue"} <= set(value)
    assert value["restarts"] == 0
    assert json.loads(json_text([Actor(name="content", state=ActorState.READY)]))[0]["state"] == "ready"


def test_messages_inside_messages_are_maps_too() -> None:
    assert plain([Process(container_id="a")])[0]["stdio"] == {
        "stdin": "",
        "stdout": "",
        "stderr": "",
        "terminal": False,
    }


def test_a_random_id_and_a_digest_are_shortened_and_a_name_is_not() -> None:
    assert short_id("ab" * 32) == "ab" * 6
    assert short_id("sha256:" + "cd" * 32) == "cd" * 6
    assert short_id("web") == "web"
    assert short_id("a-name-that-is-long-and-chosen-by-somebody") == "a-name-that-is-long-and-chosen-by-somebody"


def test_fields_are_aligned() -> None:
    assert fields([("A", 1), ("Long", "x\ny")]) == "A:    1\nLong: x\\ny\n"


def test_labels_are_sorted_in_their_cell() -> None:
    assert labels_text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert labels_text({}) == "-"
