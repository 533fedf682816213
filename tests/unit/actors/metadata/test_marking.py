"""Changes while a collection is under way: whatever is named stays, with all that it refers to."""

from __future__ import annotations

import pytest

from actors.internal import BlobClaim, BlobForget, BlobNames, BlobRegister, BlobRegistered
from actors.metadata.edges import Edges
from actors.metadata.marking import Marking
from actors.metadata.sweeping import Sweeping
from tests.support.garbage import GC, World, digest
from wharfie.types import images, leases, snapshots
from wharfie.types.base import Descriptor, Empty


class Paused:
    """A collection of the namespace by hand, one step at a time."""

    def __init__(self, world: World) -> None:
        world.services.call("leases.delete", leases.Delete(id="scratch"), Empty)
        world._scratch()
        self._store = world.store
        self._edges = Edges(world.store.connection, "ci", now_ns=world.store.now_ns())
        self.marking = world.store.graph.barrier = Marking(self._edges)
        self._sweeping = Sweeping(world.store, self._edges, self.marking)

    def mark(self) -> None:
        while not self.marking.step(10**9):
            pass

    def look(self) -> None:
        while not self._sweeping.look(10**9):
            pass

    def delete(self, *, budget_ns: int = 10**9) -> bool:
        self.mark()
        return self._store.background(lambda: self._sweeping.delete(budget_ns))


@pytest.mark.parametrize("moment", ["marked", "looked"])
@pytest.mark.parametrize(
    "how", ["image", "image update", "label", "lease", "claim", "add", "root", "bref", "container"]
)
def test_what_is_named_while_a_collection_is_under_way_stays_with_all_it_refers_to(
    world: World, moment: str, how: str
) -> None:
    world.snapshot("s")
    leaf = world.blob("leaf")
    tree = world.blob("tree", {f"{GC}ref.content": leaf, f"{GC}ref.snapshot.native": "s"})
    world.blob("rooted", {f"{GC}root": "x"})
    world.blob("garbage")
    if how == "image update":
        world.image("i", digest("none"))
    paused = Paused(world)
    paused.mark()
    if moment == "looked":
        paused.look()
    if how == "image":
        world.image("i", tree)
    elif how == "image update":
        target = Descriptor(media_type="a/b", digest=tree, size=1)
        world.services.call("images.update", images.Update(image=images.Image(name="i", target=target)), images.Image)
    elif how == "label":
        world.label("rooted", {f"{GC}root": "x", f"{GC}ref.content": tree})
    elif how == "lease":
        assert not world.services.call(
            "metadata.blob_register", BlobRegister(digest=tree, size=1), BlobRegistered, lease="scratch"
        ).new
    elif how == "claim":
        assert world.services.call("metadata.blob_claim", BlobClaim(digest=tree), BlobNames).here
    elif how == "add":
        world.lease("l", ("content", tree))
    elif how == "root":
        world.label("tree", {f"{GC}ref.content": leaf, f"{GC}ref.snapshot.native": "s", f"{GC}root": "x"})
    elif how == "bref":
        labels = {f"{GC}ref.content": leaf, f"{GC}ref.snapshot.native": "s", f"{GC}bref.content": digest("rooted")}
        world.label("tree", labels)
    else:
        world.container("c", labels={f"{GC}ref.content": tree})
    paused.look()
    assert paused.delete()
    world.store.graph.barrier = None
    assert world.blobs() == {"leaf", "tree", "rooted"}
    assert world.snapshots() == {"s"}
    world.services.collect()
    assert world.blobs() == {"leaf", "tree", "rooted"}


def test_what_is_found_while_garbage_is_deleted_has_all_that_it_refers_to(world: World) -> None:
    """One object a batch: after each, every object that is left has its children, and one that is named keeps them."""
    for number in range(20):
        world.blob(f"n{number}", {f"{GC}ref.content": digest(f"n{number + 1}")} if number < 19 else None)
    paused = Paused(world)
    paused.mark()
    paused.look()
    for _ in range(7):
        paused.delete(budget_ns=1)
        left = world.blobs()
        assert all(f"n{int(name[1:]) + 1}" in left for name in left if name != "n19")
    assert world.blobs() == {f"n{number}" for number in range(7, 20)}
    world.image("i", digest("n9"))
    while not paused.delete(budget_ns=1):
        pass
    assert world.blobs() == {f"n{number}" for number in range(9, 20)}


def test_a_snapshot_that_is_prepared_on_garbage_makes_it_none(world: World) -> None:
    world.snapshot("1")
    world.snapshot("2", "1")
    paused = Paused(world)
    paused.mark()
    paused.look()
    world.services.handle("snapshots.prepare", snapshots.Prepare(key="k", parent="2", snapshotter="native"))
    world.store.commit()
    assert paused.delete()
    assert world.snapshots() == {"1", "2", "k"}


def test_an_object_that_takes_a_dead_ones_number_is_not_taken_for_it(world: World) -> None:
    world.blob("old")
    paused = Paused(world)
    paused.mark()
    paused.look()
    (number,) = world.store.read("SELECT number FROM blobs").fetchone()
    world.services.call("metadata.blob_forget", BlobForget(digest=digest("old")), Empty)
    world.blob("new")
    assert world.store.read("SELECT number FROM blobs").fetchone() == (number,)
    assert paused.delete()
    assert world.blobs() == {"new"}


def test_a_lease_that_is_no_longer_flat_is_followed(world: World) -> None:
    world.blob("b", {f"{GC}ref.content": world.blob("a")})
    world.lease("l", ("content", digest("b")), labels={f"{GC}flat": "x"})
    paused = Paused(world)
    paused.mark()
    paused.look()
    world.services.call("leases.update", leases.Update(id="l"), leases.Lease)
    paused.delete()
    assert world.blobs() == {"a", "b"}


def test_nothing_is_deleted_before_the_marking_is_done(world: World) -> None:
    world.blob("a")
    paused = Paused(world)
    with pytest.raises(RuntimeError):
        paused._sweeping.delete(1)
