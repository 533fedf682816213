"""Start order of plugins and workers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.plugins.builtin import BUILTIN
from actors.plugins.graph import start_order, worker_requires
from actors.plugins.registration import Registration
from wharfie.errors import FailedPrecondition


def plugin(name: str, *requires: str, worker: str = "w", plugin_id: str = "x") -> Registration:
    return Registration(type=name, id=plugin_id, worker=worker, requires=requires)


def order(*registrations: Registration) -> list[str]:
    return [registration.uri for registration in start_order(registrations)]


def test_what_is_required_comes_first_depth_first_in_registration_order() -> None:
    assert order(plugin("a", "c", "b"), plugin("b"), plugin("c", "d"), plugin("d"), plugin("e")) == [
        "d.x",
        "c.x",
        "b.x",
        "a.x",
        "e.x",
    ]


def test_every_plugin_of_a_required_type_comes_first() -> None:
    assert order(plugin("m", "s"), plugin("s", plugin_id="1"), plugin("s", plugin_id="2")) == ["s.1", "s.2", "m.x"]


def test_star_comes_after_everything_else() -> None:
    assert order(plugin("z", "*"), plugin("y", "*"), plugin("a", "b"), plugin("b")) == ["b.x", "a.x", "z.x", "y.x"]


def test_a_type_that_nobody_provides_is_no_error() -> None:
    assert order(plugin("a", "nothing")) == ["a.x"]


@pytest.mark.parametrize(
    ("registrations", "cycle"),
    [
        ([plugin("a", "b"), plugin("b", "a")], ["a.x", "b.x", "a.x"]),
        (
            [plugin("z", "a"), plugin("a", "b"), plugin("b", "c"), plugin("c", "a")],
            ["a.x", "b.x", "c.x", "a.x"],
        ),
    ],
)
def test_a_circle_is_named(registrations: list[Registration], cycle: list[str]) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        start_order(registrations)
    assert caught.value.details["cycle"] == cycle
    assert " → ".join(cycle) in str(caught.value)


def test_a_chain_may_be_longer_than_pythons_stack() -> None:
    chain = [plugin(f"t{n}", f"t{n + 1}") for n in range(5000)]
    assert order(*chain)[0] == "t4999.x"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 7), max_size=3)), max_size=10))
def test_in_any_graph_requirements_come_first_or_a_real_circle_is_named(
    edges: list[tuple[int, set[int]]],
) -> None:
    registrations = [
        plugin(f"t{kind}", *(f"t{other}" for other in sorted(others - {kind})), plugin_id=str(number))
        for number, (kind, others) in enumerate(edges)
    ]
    try:
        found = start_order(registrations)
    except FailedPrecondition as error:
        by_uri = {registration.uri: registration for registration in registrations}
        for one, other in itertools.pairwise(error.details["cycle"]):
            assert by_uri[other].type in by_uri[one].requires
        return
    assert sorted(found, key=lambda r: r.uri) == sorted(registrations, key=lambda r: r.uri)
    for position, registration in enumerate(found):
        for other in registrations:
            if other.type in registration.requires:
                assert found.index(other) < position


def test_workers_wait_for_the_workers_of_what_their_plugins_require() -> None:
    requires = worker_requires(
        [
            plugin("db", worker="metadata"),
            plugin("event", "db", worker="metadata"),
            plugin("content", "db", worker="content"),
            plugin("transfer", "content", "event", worker="transfer"),
        ]
    )
    assert requires == {"metadata": (), "content": ("metadata",), "transfer": ("metadata", "content")}


def test_workers_that_would_wait_for_each_other_are_named() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        worker_requires([plugin("a", "c", worker="one"), plugin("b", worker="one"), plugin("c", "b", worker="two")])
    assert caught.value.details["cycle"] == ["one", "two", "one"]


def test_the_start_order_of_our_own_daemon() -> None:
    requires = worker_requires(BUILTIN)
    assert requires == {
        "metadata": (),
        "content": ("metadata",),
        "snapshot": ("metadata",),
        "runtime": ("metadata", "snapshot"),
        "transfer": ("metadata", "content", "snapshot"),
    }
    uris = [registration.uri for registration in start_order(BUILTIN)]
    assert uris[0] == "metadata.v1.sqlite"
    assert uris.index("differ.v1.walking") < uris.index("transfer.v1.local")
