"""Child specifications: defaults, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.spec import (
    Backoff,
    ChildSpec,
    ChildType,
    Heartbeat,
    Restart,
    SpecError,
    Strategy,
    Tree,
    start_order,
)


def spec(name: str, *depends_on: str, **fields: Any) -> ChildSpec:
    return ChildSpec(id=name, start="m:f", depends_on=depends_on, **fields)


def test_defaults_read_back() -> None:
    child = ChildSpec(id="content", start="actors.content.main:main")
    assert child.restart is Restart.PERMANENT
    assert child.type is ChildType.WORKER
    assert child.shutdown == 5.0
    assert child.depends_on == ()
    assert not child.significant
    assert child.permanent_exit_codes == (78, 125)
    assert child.heartbeat == Heartbeat(interval_s=1.0, misses=3, step_s=0.5)
    assert child.backoff == Backoff(first_s=0.1, factor=2.0, max_s=10.0, jitter=0.2, reset_after_s=10.0)
    assert child.memory_max_bytes == 0
    tree = Tree(children=(child,))
    assert tree.strategy("") is Strategy.ONE_FOR_ONE
    assert tree.intensity == 20


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("id", {"id": "Content"}),
        ("id", {"id": ""}),
        ("id", {"id": "a" * 32}),
        ("start", {"start": "no colon"}),
        ("start", {"start": "a.b:"}),
        ("restart", {"restart": "sometimes"}),
        ("type", {"type": "daemon"}),
        ("shutdown", {"shutdown": "soon"}),
        ("shutdown", {"shutdown": 0}),
        ("shutdown", {"shutdown": -1.0}),
        ("depends_on", {"depends_on": ("a",)}),
        ("significant", {"significant": True}),
        ("ready_timeout_s", {"ready_timeout_s": 0}),
        ("memory_max_bytes", {"memory_max_bytes": -1}),
        ("permanent_exit_codes", {"permanent_exit_codes": (0,)}),
        ("backoff.first_s", {"backoff": Backoff(first_s=-1)}),
        ("backoff.factor", {"backoff": Backoff(factor=0.5)}),
        ("backoff.max_s", {"backoff": Backoff(first_s=5, max_s=1)}),
        ("backoff.jitter", {"backoff": Backoff(jitter=1)}),
        ("backoff.reset_after_s", {"backoff": Backoff(reset_after_s=-1)}),
        ("heartbeat.interval_s", {"heartbeat": Heartbeat(interval_s=0)}),
        ("heartbeat.misses", {"heartbeat": Heartbeat(misses=0)}),
        ("heartbeat.step_s", {"heartbeat": Heartbeat(step_s=0)}),
    ],
)
def test_faulty_spec_names_the_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"field '{field}'"):
        ChildSpec(**{"id": "a", "start": "m:f", **fields})


@pytest.mark.parametrize("fields", [{"intensity": -1}, {"period_s": 0}])
def test_faulty_tree_names_the_field(fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"field '{next(iter(fields))}'"):
        Tree(children=(spec("a"),), **fields)


def test_dependency_cycle_rejected() -> None:
    with pytest.raises(SpecError, match="a → b → c → a"):
        Tree(children=(spec("a", "b"), spec("b", "c"), spec("c", "a")))


def test_unknown_dependency_and_duplicate_are_rejected() -> None:
    with pytest.raises(SpecError, match="unknown child 'x'"):
        Tree(children=(spec("a", "x"),))
    with pytest.raises(SpecError, match="used twice"):
        Tree(children=(spec("a"), spec("a")))


def test_start_order_is_topological_and_otherwise_as_written() -> None:
    children = (spec("d", "b", "c"), spec("b", "a"), spec("a"), spec("c", "a"), spec("e"))
    assert start_order(children) == ("a", "b", "c", "d", "e")


def test_pause_is_geometric_capped_and_shaken_within_bounds() -> None:
    backoff = Backoff(first_s=0.1, factor=3, max_s=2, jitter=0.5)
    assert [round(backoff.pause_s(n, 0.5), 6) for n in (1, 2, 3, 4, 5)] == [0.1, 0.3, 0.9, 2, 2]
    assert backoff.pause_s(1, 0.0) == pytest.approx(0.05)
    assert backoff.pause_s(1, 0.999999) == pytest.approx(0.15, abs=1e-5)
    assert backoff.pause_s(10**6, 0.5) == 2
