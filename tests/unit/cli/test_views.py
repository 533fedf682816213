"""What single nouns make of their data: trees, filters, lines."""

from __future__ import annotations

import json

import pytest

from cli.actor import inspection_text, tree_lines
from cli.events import line_of, narrowed
from cli.load import line_of as progress_line
from cli.snapshot import nested
from cli.snapshot import tree_lines as forest_lines
from wharfie.types.events import Envelope
from wharfie.types.snapshots import Info, Kind
from wharfie.types.supervisor import Actor, ActorState, ActorType, CrashReport, Inspection, Node
from wharfie.types.transfer import Progress


def test_the_tree_of_actors_is_drawn() -> None:
    root = Node(
        name="supervisor",
        pid=1,
        type=ActorType.SUPERVISOR,
        children=[
            Node(name="router", pid=2, type=ActorType.ROUTER, state="ready", generation=1),
            Node(name="runtime", type=ActorType.WORKER, children=[Node(name="shim", pid=4, type=ActorType.SHIM)]),
        ],
    )
    assert tree_lines(root) == [
        "supervisor (pid 1)",
        "├─ router (pid 2, ready, generation 1)",
        "└─ runtime (worker)",
        "   └─ shim (pid 4)",
    ]


def test_an_inspection_shows_the_last_crash_with_its_stack() -> None:
    crash = CrashReport(
        name="content", generation=3, pid=9, at_ns=1, reason="SIGKILL", oom=True, stack="line one\nline two"
    )
    actor = Actor(name="content", state=ActorState.READY)
    text = inspection_text(
        Inspection(actor=actor, start="a.b:c", restart="permanent", crash_reports=[crash], info={"k": [1]})
    )
    assert "content#3 (pid 9)" in text
    assert "SIGKILL (out of memory)" in text
    assert "\n  line one\n  line two\n" in text
    assert "Said k:" in text


def test_snapshots_are_nested_below_their_parents() -> None:
    found = [
        Info(name="c", kind=Kind.ACTIVE, parent="b"),
        Info(name="b", kind=Kind.COMMITTED, parent="a"),
        Info(name="a", kind=Kind.COMMITTED),
        Info(name="lost", kind=Kind.VIEW, parent="gone"),
    ]
    assert forest_lines(nested(found)) == ["a (committed)", "  b (committed)", "    c (active)", "lost (view)"]


@pytest.mark.parametrize(
    ("filters", "namespace", "expected"),
    [
        ([], None, []),
        (["topic==/x"], None, ["topic==/x"]),
        ([], "ci", ['namespace=="ci"']),
        (["topic==/x", "topic==/y"], "ci", ['namespace=="ci",topic==/x', 'namespace=="ci",topic==/y']),
    ],
)
def test_events_are_held_to_a_namespace_that_was_named(
    filters: list[str], namespace: str | None, expected: list[str]
) -> None:
    assert narrowed(filters, namespace) == expected


def test_an_event_is_a_line_and_a_gap_is_told() -> None:
    event = Envelope(seq=1, timestamp_ns=10**18, namespace="ci", topic="/tasks/exit", event={"pid": 3})
    line = line_of(event)
    assert line.startswith("2001-09-09T01:46:40.000000000Z ci /tasks/exit ")
    assert json.loads(line.split(" ", 3)[3]) == {"pid": 3}
    assert "gap" in line_of(Envelope(seq=9, timestamp_ns=1, gap=True))


def test_progress_is_a_line_when_something_is_done() -> None:
    digest = "sha256:" + "ab" * 32
    assert progress_line(Progress(event="blob", name=digest, done=5, total=10)) == ""
    assert progress_line(Progress(event="blob", name=digest, done=10, total=10)) == "blob abababababab 10 B"
    assert progress_line(Progress(event="saved", name="busybox:latest")) == "saved busybox:latest"
