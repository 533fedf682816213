"""Registrations: what is refused, and the forms of a name."""

from __future__ import annotations

import pytest

from actors.plugins.builtin import BUILTIN
from actors.plugins.registration import Registration, canonical, names
from actors.plugins.registry import Registry
from wharfie import methods
from wharfie.errors import AlreadyExists, InvalidArgument


def plugin(kind: str = "a.v1", plugin_id: str = "x", *requires: str, worker: str = "metadata") -> Registration:
    return Registration(type=kind, id=plugin_id, worker=worker, requires=requires)


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (plugin(""), "type"),
        (plugin("a.v1", ""), "id"),
        (plugin(worker=""), "worker"),
        (plugin("a.v1", "x", "b.v1", "a.v1"), "requires"),
        (plugin("a.v1", "x", "*", "b.v1"), "requires"),
    ],
)
def test_a_faulty_registration_is_refused_with_the_field(registration: Registration, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Registry([registration])
    assert caught.value.details["field"] == field


@pytest.mark.parametrize("kind", ["a.v1", "io.containerd.a.v1", "wharfie.a"])
def test_a_name_is_taken_once_in_all_its_forms(kind: str) -> None:
    registry = Registry([plugin()])
    with pytest.raises(AlreadyExists):
        registry.register(plugin(kind))
    registry.register(plugin(kind, "y"))
    assert [registration.id for registration in registry] == ["x", "y"]
    assert len(registry) == 2


@pytest.mark.parametrize(
    "uri",
    [
        "snapshotter.v1.overlayfs",
        "io.containerd.snapshotter.v1.overlayfs",
        "wharfie.snapshotter.v1.overlayfs",
        "wharfie.snapshotter.overlayfs",
        "snapshotter.overlayfs",
    ],
)
def test_prefix_and_version_make_no_difference_to_a_name(uri: str) -> None:
    registry = Registry(BUILTIN)
    found = registry.find(uri)
    assert found is not None
    assert found.uri == "snapshotter.v1.overlayfs"
    assert names((uri,), found)
    assert not names((f"{uri}2",), found)


def test_an_id_with_dots_keeps_them() -> None:
    assert canonical("io.containerd.proxy.v1.a.v2.b") == "proxy.a.v2.b"


def test_our_own_are_well_formed_and_run_in_workers_that_there_are() -> None:
    registry = Registry(BUILTIN)
    assert len(registry) == len(BUILTIN)
    types = {registration.type for registration in registry}
    for registration in registry:
        assert registration.worker in methods.WORKERS
        assert set(registration.requires) <= types
    assert {registration.worker for registration in registry} == set(methods.WORKERS)
    assert [found.id for found in registry.of_type("snapshotter.v1")] == [
        "overlayfs",
        "native",
        "btrfs",
        "erofs",
    ]
