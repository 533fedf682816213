"""What a collection keeps and what it takes: containerd's roots, labels and leases, on a real database."""

from __future__ import annotations

import asyncio

import pytest

from actors.internal import BlobRegister, BlobRegistered
from actors.metadata.references import Kind, node_of, number_of
from tests.support.garbage import GC, World, digest
from wharfie.errors import NotFound
from wharfie.types import containers, gc, images, leases
from wharfie.types.base import Empty

PAST = {f"{GC}expire": "2001-01-01T00:00:00Z"}
FUTURE = {f"{GC}expire": "2101-01-01T00:00:00Z"}


def test_an_image_keeps_its_whole_tree_and_what_it_unpacked_to(world: World) -> None:
    layer = world.blob("layer")
    world.snapshot("chain-1")
    world.snapshot("chain-2", parent="chain-1")
    config = world.blob("config", {f"{GC}ref.snapshot.native": "chain-2"})
    manifest = world.blob("manifest", {f"{GC}ref.content.config": config, f"{GC}ref.content.l.0": layer})
    index = world.blob("index", {f"{GC}ref.content.m.0": manifest})
    world.blob("other")
    world.snapshot("other")
    world.image("app", index)
    collected = world.collect()
    assert world.blobs() == {"layer", "config", "manifest", "index"}
    assert world.snapshots() == {"chain-1", "chain-2"}
    assert (collected.blobs, collected.snapshots) == (1, 1)
    world.services.call("images.delete", images.Delete(name="app"), Empty)
    collected = world.collect()
    assert (world.blobs(), world.snapshots()) == (set(), set())
    assert (collected.blobs, collected.snapshots) == (4, 2)
    assert world.collect().blobs == 0


@pytest.mark.parametrize("key", ["ref.content", "ref.content.x", "ref.content/x", "ref.content.x.y"])
def test_every_form_of_a_reference_to_content_keeps_it(world: World, key: str) -> None:
    world.blob("b", {f"{GC}{key}": world.blob("a"), f"{GC}root": "now"})
    world.collect()
    assert world.blobs() == {"a", "b"}


@pytest.mark.parametrize("key", ["ref.contents", "ref", "ref.", "ref.content-x", "reference.content", "ref.snapshot"])
def test_what_only_looks_like_a_reference_keeps_nothing(world: World, key: str) -> None:
    world.blob("b", {f"{GC}{key}": world.blob("a"), f"{GC}root": "now"})
    world.collect()
    assert world.blobs() == {"b"}


def test_containers_snapshots_and_leases_refer_by_their_labels_too(world: World) -> None:
    world.container("c", labels={f"{GC}ref.content": world.blob("a")})
    world.snapshot("s", labels={f"{GC}ref.content": world.blob("b"), f"{GC}root": "x"})
    world.lease("l", labels={f"{GC}ref.content": world.blob("c")})
    world.image("i", digest("missing"), {f"{GC}ref.content": world.blob("d")})
    world.blob("e")
    world.collect()
    assert world.blobs() == {"a", "b", "c", "d"}


def test_a_container_keeps_its_snapshot_and_all_its_ancestors(world: World) -> None:
    for key, parent in (("1", ""), ("2", "1"), ("3", "2"), ("unused", "2")):
        world.snapshot(key, parent)
    world.container("c", "3")
    world.collect()
    assert world.snapshots() == {"1", "2", "3"}
    world.services.call("containers.delete", containers.Delete(id="c"), Empty)
    world.collect()
    assert world.snapshots() == set()


def test_a_snapshot_of_another_snapshotter_is_another_one(world: World) -> None:
    world.snapshot("k")
    world.blob("b", {f"{GC}ref.snapshot.overlayfs": "k", f"{GC}root": "x"})
    world.collect()
    assert world.snapshots() == set()


def test_a_lease_keeps_what_it_holds_with_all_that_it_refers_to(world: World) -> None:
    world.blob("b", {f"{GC}ref.content": world.blob("a")})
    world.lease("l", ("content", digest("b")), ("content", digest("not there")), ("ingests", "r"))
    world.collect()
    assert world.blobs() == {"a", "b"}
    resource = leases.Resource(type="content", id=digest("b"))
    world.services.call("leases.delete_resource", leases.DeleteResource(id="l", resource=resource), Empty)
    world.collect()
    assert world.blobs() == set()


def test_a_flat_lease_keeps_no_children_but_ancestors_and_targets(world: World) -> None:
    world.blob("b", {f"{GC}ref.content": world.blob("a")})
    world.blob("target", {f"{GC}ref.content": world.blob("child")})
    world.image("i", digest("target"), PAST)
    world.snapshot("1", labels={f"{GC}ref.content": world.blob("by snapshot")})
    world.snapshot("2", "1")
    held = [("content", digest("b")), ("images", "i"), ("snapshots/native", "2")]
    world.lease("l", *held, labels={f"{GC}flat": "any"})
    world.collect()
    assert world.blobs() == {"b", "target"}
    assert world.images() == {"i"}
    assert world.snapshots() == {"1", "2"}


def test_what_a_flat_lease_holds_is_followed_when_something_else_keeps_it_too(world: World) -> None:
    world.blob("b", {f"{GC}ref.content": world.blob("a")})
    world.lease("l", ("content", digest("b")), labels={f"{GC}flat": "any"})
    world.image("i", digest("b"))
    world.collect()
    assert world.blobs() == {"a", "b"}


def test_what_has_expired_goes_and_what_has_not_stays(world: World) -> None:
    world.image("old", world.blob("a"), PAST)
    world.image("new", world.blob("b"), FUTURE)
    world.image("odd", world.blob("c"), {f"{GC}expire": "tomorrow"})
    world.lease("past", ("content", world.blob("d")), labels=PAST)
    world.lease("future", ("content", world.blob("e")), labels=FUTURE)
    collected = world.collect()
    assert world.images() == {"new", "odd"}
    assert world.blobs() == {"b", "c", "e"}
    assert (collected.images, collected.leases) == (1, 1)
    assert "/images/delete" in world.services.topics()
    assert world.store.read("SELECT id FROM leases ORDER BY id").fetchall() == [("future",), ("scratch",)]


def test_what_a_collection_takes_is_no_reason_for_another(world: World) -> None:
    world.image("old", world.blob("a"), PAST)
    world.services.call("leases.delete", world.scratch, Empty)
    world.lease("past", ("content", digest("a")), labels=PAST)
    deletions = world.store.graph.deletions
    collected = world.services.collect()
    assert (collected.images, collected.blobs, collected.leases) == (1, 1, 1)
    assert world.store.graph.deletions == deletions


def test_a_time_at_the_end_of_the_calendar_is_one_to_expire_at(world: World) -> None:
    last = {f"{GC}expire": "9999-12-31T23:59:59Z"}
    first = {f"{GC}expire": "0001-01-01T00:00:00Z"}
    world.image("last", world.blob("a"), last)
    world.image("first", world.blob("b"), first)
    world.lease("last", ("content", world.blob("c")), labels=last)
    world.lease("first", ("content", world.blob("d")), labels=first)
    world.collect()
    assert world.images() == {"last"}
    assert world.blobs() == {"a", "c"}


def test_an_expired_image_stays_while_something_refers_to_it(world: World) -> None:
    world.image("old", world.blob("a"), PAST)
    world.lease("l", ("images", "old"))
    world.image("other", world.blob("b"), PAST)
    world.container("c", labels={f"{GC}ref.image": "other"})
    world.collect()
    assert world.images() == {"old", "other"}
    assert world.blobs() == {"a", "b"}


def test_a_back_reference_keeps_its_own_object_while_the_other_one_is_kept(world: World) -> None:
    kept = world.blob("kept", {f"{GC}root": "x"})
    gone = world.blob("gone")
    world.snapshot("k")
    world.container("c", "k")
    world.image("i", kept)
    for name, key, value in (
        ("1", "bref.content", kept),
        ("2", "bref.content.x", gone),
        ("3", "bref.snapshot.native/y", "k"),
        ("4", "bref.container", "c"),
        ("5", "bref.image", "i"),
        ("6", "bref.image", "no such"),
    ):
        world.blob(name, {f"{GC}{key}": value})
    world.blob("7", {f"{GC}bref.content": digest("1")})
    world.collect()
    assert world.blobs() == {"kept", "1", "3", "4", "5", "7"}


def test_a_conditional_reference_holds_while_its_condition_does(world: World) -> None:
    used = {f"{GC}cond.value-usedat": "2020-01-01T00:00:00Z"}
    for key in "abcd":
        world.snapshot(key, labels=used if key != "d" else None)
    labels = {
        f"{GC}cond.snapshot.native/1": "usedat<24h|a",
        f"{GC}cond.snapshot.native/2": "usedat>24h|b",
        f"{GC}cond.snapshot.native/3": "usedat<1h30m|c,usedat>1ms|c",
        f"{GC}cond.snapshot.native/4": "usedat<24h|d",
        f"{GC}cond.snapshot.native/5": "nonsense|a",
        f"{GC}root": "x",
    }
    world.blob("holder", labels)
    world.collect()
    assert world.snapshots() == {"b", "c"}


def test_a_label_that_is_removed_keeps_nothing_any_more(world: World) -> None:
    world.blob("b", {f"{GC}ref.content": world.blob("a"), f"{GC}root": "x"})
    world.label("b", {f"{GC}root": "x"})
    world.collect()
    assert world.blobs() == {"b"}
    world.label("b", {})
    world.collect()
    assert world.blobs() == set()
    assert world.store.read("SELECT count(*) FROM refs").fetchone() == (0,)


def test_namespaces_keep_nothing_for_one_another(world: World) -> None:
    world.blob("a")
    labels = {f"{GC}ref.content": digest("a"), f"{GC}bref.content": digest("a"), f"{GC}root": "x"}
    request = BlobRegister(digest=digest("b"), size=1, labels=labels)
    world.services.call("metadata.blob_register", request, BlobRegistered, namespace="other")
    world.collect()
    assert world.blobs() == {"b"}


def test_rings_and_long_chains_are_collected(world: World) -> None:
    ring = {name: digest(following) for name, following in zip("abc", "bca", strict=True)}
    for name, following in ring.items():
        world.blob(name, {f"{GC}ref.content": following})
    world.snapshot("p", labels={f"{GC}ref.snapshot.native": "q"})
    world.snapshot("q", "p")
    for number in range(500):
        world.blob(f"n{number}", {f"{GC}ref.content": digest(f"n{number + 1}")})
    collected = world.collect()
    assert (collected.blobs, collected.snapshots) == (503, 2)


def test_removals_are_told(world: World) -> None:
    world.blob("a")
    world.snapshot("k")
    world.collect()
    events = list(zip(world.services.topics(), world.services.events(), strict=True))
    assert ("/content/delete", {"digest": digest("a")}) in events
    assert ("/snapshot/remove", {"key": "k", "snapshotter": "native"}) in events


def test_long_lists_of_leases_go_whole(world: World) -> None:
    world.lease("l")
    world.store.background(
        lambda: world.store.connection.executemany(
            "INSERT INTO lease_resources SELECT number, 'images', ? FROM leases WHERE id = 'l'",
            [(str(number),) for number in range(1700)],
        )
    )
    world.services.call("leases.delete", leases.Delete(id="l"), Empty)
    world.lease("l")
    request = leases.ListResources(id="l")
    assert world.services.call("leases.resources", request, leases.Resources).resources == []
    world.collect()
    assert world.store.read("SELECT count(*) FROM lease_resources").fetchone() == (0,)


# -- asking -------------------------------------------------------------------------------------------------------------


def explain(world: World, name: str) -> list[gc.Explanation]:
    answer: gc.Explanations = asyncio.run(world.handle("gc.explain", gc.Explain(id=name)))
    return answer.things


def test_who_holds_a_thing_is_told_from_the_root_to_it(world: World) -> None:
    layer = world.blob("layer")
    world.image("app", world.blob("manifest", {f"{GC}ref.content.l.0": layer}))
    world.lease("l", ("content", layer))
    (held,) = explain(world, layer)
    chains = [[(link.type, link.id) for link in chain] for chain in held.chains]
    assert chains[0][-1] == ("content", layer)
    assert [("images", "app"), ("content", digest("manifest")), ("content", layer)] in chains
    assert [("leases", "l"), ("content", layer)] in chains
    assert held.roots == 3  # the scratch lease, too


def test_of_what_nobody_holds_that_is_told(world: World) -> None:
    world.blob("a")
    world.services.call("leases.delete", leases.Delete(id="scratch"), Empty)
    (held,) = explain(world, digest("a"))
    assert (held.chains, held.roots) == ([], 0)
    with pytest.raises(NotFound):
        explain(world, digest("b"))


def test_a_lease_that_has_expired_holds_nothing_also_before_a_collection_forgets_it(world: World) -> None:
    held = world.blob("a")
    world.services.call("leases.delete", world.scratch, Empty)
    world.lease("past", ("content", held), labels=PAST)
    (told,) = explain(world, held)
    assert (told.chains, told.roots) == ([], 0)


def test_orphans_are_just_what_the_next_collection_takes(world: World) -> None:
    world.image("old", world.blob("a"), PAST)
    world.image("app", world.blob("b"))
    world.snapshot("k")
    world.services.call("leases.delete", world.scratch, Empty)
    for _ in range(2):
        found = asyncio.run(world.handle("gc.orphans", gc.FindOrphans()))
        assert [(thing.namespace, thing.type, thing.id, thing.size) for thing in found.things] == [
            ("ci", "images", "old", -1),
            ("ci", "content", digest("a"), 1),
            ("ci", "snapshots/native", "k", 1),
        ]
    collected = world.services.collect()
    assert (collected.images, collected.blobs, collected.snapshots) == (1, 1, 1)
    assert asyncio.run(world.handle("gc.orphans", gc.FindOrphans())).things == []


def test_nodes_are_rows_and_kinds() -> None:
    for kind in Kind:
        assert number_of(node_of(kind, 77)) == 77
