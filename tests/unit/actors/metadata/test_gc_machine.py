"""Clients and a collection that is under way, in any order, against a model: nothing kept goes, all else does.

A collection runs in steps of one page or one deletion, and between them anything happens: things are made, named, changed
and deleted, time passes, the worker dies. After each step all that the model keeps must be there, with whatever it refers
to; at the end, two collections later, nothing else.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors.internal import (
    BlobClaim,
    BlobForget,
    BlobNames,
    BlobRegister,
    BlobRegistered,
    SnapshotCommit,
)
from actors.metadata.collector import _delete_some
from actors.metadata.edges import Edges
from actors.metadata.marking import Marking
from actors.metadata.sweeping import Sweeping
from config.settings import Gc
from tests.support.gcmodel import SNAPSHOTS, Model, Name, Thing, labels_of
from tests.support.metadata import Services, open_services, settings_for
from wharfie import errors
from wharfie.types import containers, content, images, leases, snapshots
from wharfie.types.base import Descriptor, Empty

DIGESTS = [f"sha256:{number:064x}" for number in range(6)]
KEYS = [f"k{number}" for number in range(5)]
IMAGES = [f"i{number}" for number in range(3)]
CONTAINERS = ["c0", "c1"]
LEASES = ["l0", "l1", "l2"]
FIRST_NS = 1_700_000_000 * 10**9

digests = st.sampled_from(DIGESTS)
keys = st.sampled_from(KEYS)
names = st.one_of(
    st.tuples(st.just("content"), digests),
    st.tuples(st.just(SNAPSHOTS), keys),
    st.tuples(st.just("images"), st.sampled_from(IMAGES)),
)
refs = st.frozensets(names, max_size=3)
backs = st.frozensets(names, max_size=1)
expiries = st.sampled_from([None, None, None, 1, 3, 6])
lease_ids = st.sampled_from(["", *LEASES])


class Machine(RuleBasedStateMachine):
    """The real tables and handlers, and the model."""

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.mkdtemp(dir="/dev/shm", prefix="gc-machine-")
        self.model = Model(now_ns=FIRST_NS)
        self.marking: Marking | None = None
        self.sweeping: Sweeping | None = None
        self.is_looked = False
        self._reopen()

    def _reopen(self) -> None:
        self.stack = ExitStack()
        configured = msgspec.structs.replace(settings_for(self.directory), gc=Gc(default_lease_s=0.0))
        self.services: Services = self.stack.enter_context(open_services(self.directory, configured))
        self.services.store.now_ns = lambda: self.model.now_ns
        self._abandon()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self._abandon()
            for _ in range(2):
                self.services.collect()
            self.check()
            assert set(self.model.things) == self.model.kept()
            assert self.services.store.read(
                "SELECT count(*) FROM lease_resources WHERE lease NOT IN (SELECT number FROM leases)"
            ).fetchone() == (0,)
            self.stack.close()
            shutil.rmtree(self.directory)

    def call(self, method: str, request: msgspec.Struct, reply: type[Any] = Empty, lease: str = "") -> bool:
        """Whether it was done; that something is there already, or is not, is no failure of the machine."""
        try:
            self.services.call(method, request, reply, lease=lease)
        except (errors.AlreadyExists, errors.NotFound, errors.FailedPrecondition, errors.InvalidArgument):
            return False
        return True

    def hold(self, lease: str, name: Name) -> None:
        if lease:
            held = self.model.things["leases", lease]
            held.fields |= {name}

    # -- blobs -------------------------------------------------------------------------------------------------------

    @rule(digest=digests, refs=refs, backs=backs, is_root=st.booleans(), lease=lease_ids)
    def register(self, digest: str, refs: frozenset[Name], backs: frozenset[Name], is_root: bool, lease: str) -> None:
        thing = Thing(refs=refs, backs=backs, is_root=is_root and not lease)
        known = self.model.things.get(("content", digest))
        request = BlobRegister(digest=digest, size=1, labels=labels_of(thing) if known is None else {})
        if self.call("metadata.blob_register", request, BlobRegistered, lease):
            if known is None:
                self.model.things["content", digest] = thing
            self.hold(lease, ("content", digest))

    @rule(digest=digests, lease=st.sampled_from(LEASES))
    def claim(self, digest: str, lease: str) -> None:
        if self.call("metadata.blob_claim", BlobClaim(digest=digest), BlobNames, lease) and (
            ("content", digest) in self.model.things
        ):
            self.hold(lease, ("content", digest))

    @rule(digest=digests, refs=refs, backs=backs, is_root=st.booleans())
    def label_blob(self, digest: str, refs: frozenset[Name], backs: frozenset[Name], is_root: bool) -> None:
        thing = Thing(refs=refs, backs=backs, is_root=is_root)
        if self.call("content.update", content.Update(digest=digest, labels=labels_of(thing)), content.Info):
            self.model.things["content", digest] = thing

    @rule(digest=digests)
    def forget(self, digest: str) -> None:
        if self.call("metadata.blob_forget", BlobForget(digest=digest)):
            del self.model.things["content", digest]

    # -- snapshots ---------------------------------------------------------------------------------------------------

    @rule(key=keys, parent=st.sampled_from(["", *KEYS]), refs=refs, is_root=st.booleans(), lease=lease_ids)
    def prepare(self, key: str, parent: str, refs: frozenset[Name], is_root: bool, lease: str) -> None:
        thing = Thing(refs=refs, is_root=is_root)
        request = snapshots.Prepare(key=key, parent=parent, snapshotter="native", labels=labels_of(thing))
        try:
            self.services.handle("snapshots.prepare", request, lease=lease)
        except (errors.AlreadyExists, errors.NotFound, errors.InvalidArgument):
            return
        finally:
            self.services.store.commit()
        thing.fields = frozenset({(SNAPSHOTS, parent)} if parent else ())
        self.model.things[SNAPSHOTS, key] = thing
        self.hold(lease, (SNAPSHOTS, key))

    @rule(key=keys, name=keys, parent=st.sampled_from(["", *KEYS]), refs=refs, is_root=st.booleans(), lease=lease_ids)
    def commit(self, key: str, name: str, parent: str, refs: frozenset[Name], is_root: bool, lease: str) -> None:
        thing = Thing(refs=refs, is_root=is_root)
        request = SnapshotCommit(
            name=name, key=key, snapshotter="native", size=1, inodes=1, labels=labels_of(thing), parent=parent
        )
        if self.call("metadata.snapshot_commit", request, Empty, lease):
            old = self.model.things.pop((SNAPSHOTS, key))
            thing.fields = old.fields | ({(SNAPSHOTS, parent)} if parent else set())
            self.model.things[SNAPSHOTS, name] = thing
            if lease:
                self.model.things["leases", lease].fields -= {(SNAPSHOTS, key)}
            self.hold(lease, (SNAPSHOTS, name))

    @rule(key=keys, lease=lease_ids)
    def remove(self, key: str, lease: str) -> None:
        try:
            self.services.handle("snapshots.remove", snapshots.Remove(key=key, snapshotter="native"), lease=lease)
        except (errors.NotFound, errors.FailedPrecondition):
            return
        finally:
            self.services.store.commit()
        del self.model.things[SNAPSHOTS, key]
        if lease:
            self.model.things["leases", lease].fields -= {(SNAPSHOTS, key)}

    # -- images, containers, leases ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(IMAGES), digest=digests, refs=refs, after=expiries, update=st.booleans())
    def image(self, name: str, digest: str, refs: frozenset[Name], after: int | None, update: bool) -> None:
        thing = Thing(refs=refs, fields=frozenset({("content", digest)}), expires_ns=self._time(after))
        target = Descriptor(media_type="a/b", digest=digest, size=1)
        image = images.Image(name=name, target=target, labels=labels_of(thing))
        method, request = (
            ("images.update", images.Update(image=image)) if update else ("images.create", images.Create(image=image))
        )
        if self.call(method, request, images.Image):
            self.model.things["images", name] = thing

    def _time(self, after: int | None) -> int | None:
        return None if after is None else self.model.now_ns + after * 10**9

    @rule(name=st.sampled_from(IMAGES))
    def delete_image(self, name: str) -> None:
        if self.call("images.delete", images.Delete(name=name)):
            del self.model.things["images", name]

    @rule(name=st.sampled_from(CONTAINERS), key=st.sampled_from(["", *KEYS]), refs=refs)
    def container(self, name: str, key: str, refs: frozenset[Name]) -> None:
        thing = Thing(refs=refs, fields=frozenset({(SNAPSHOTS, key)} if key else ()))
        container = containers.Container(
            id=name, spec={"x": 1}, snapshotter="native", snapshot_key=key, labels=labels_of(thing)
        )
        if self.call("containers.create", containers.Create(container=container), containers.Container):
            self.model.things["containers", name] = thing

    @rule(name=st.sampled_from(CONTAINERS))
    def delete_container(self, name: str) -> None:
        if self.call("containers.delete", containers.Delete(id=name)):
            del self.model.things["containers", name]

    @rule(name=st.sampled_from(LEASES), refs=refs, is_flat=st.booleans(), after=expiries, update=st.booleans())
    def lease(self, name: str, refs: frozenset[Name], is_flat: bool, after: int | None, update: bool) -> None:
        thing = Thing(refs=refs, is_flat=is_flat, expires_ns=self._time(after))
        method, request = (
            ("leases.update", leases.Update(id=name, labels=labels_of(thing)))
            if update
            else (
                "leases.create",
                leases.Create(id=name, labels=labels_of(thing)),
            )
        )
        if self.call(method, request, leases.Lease):
            if update:
                thing.fields = self.model.things["leases", name].fields
            self.model.things["leases", name] = thing

    @rule(name=st.sampled_from(LEASES))
    def delete_lease(self, name: str) -> None:
        if self.call("leases.delete", leases.Delete(id=name)):
            del self.model.things["leases", name]

    @rule(name=st.sampled_from(LEASES), resource=names, add=st.booleans())
    def resource(self, name: str, resource: Name, add: bool) -> None:
        wanted = leases.Resource(type=resource[0], id=resource[1])
        if add:
            if self.call("leases.add_resource", leases.AddResource(id=name, resource=wanted)):
                self.model.things["leases", name].fields |= {resource}
        elif self.call("leases.delete_resource", leases.DeleteResource(id=name, resource=wanted)):
            self.model.things["leases", name].fields -= {resource}

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.model.now_ns += seconds * 10**9

    # -- the collection ----------------------------------------------------------------------------------------------

    def _abandon(self) -> None:
        self.services.store.graph.barrier = None
        self.marking = self.sweeping = None
        self.is_looked = False

    @precondition(lambda self: self.marking is None)
    @rule()
    def begin(self) -> None:
        store = self.services.store
        asyncio.run(self.services.garbage.collector._expire("ci"))
        edges = Edges(store.connection, "ci", now_ns=self.model.now_ns)
        self.marking = store.graph.barrier = Marking(edges)
        self.sweeping = Sweeping(store, edges, self.marking)

    @precondition(lambda self: self.marking is not None)
    @rule(steps=st.integers(1, 8))
    def go_on(self, steps: int) -> None:
        marking, sweeping = self.marking, self.sweeping
        assert marking is not None
        assert sweeping is not None
        for _ in range(steps):
            done = False
            if self.is_looked:
                done = _delete_some(self.services.store, marking, sweeping, 0)
            elif marking.is_done:
                self.is_looked = sweeping.look(0)
            else:
                marking.step(0)
            if done:
                self._abandon()
                return

    @precondition(lambda self: self.marking is not None)
    @rule()
    def mark_to_the_end(self) -> None:
        assert self.marking is not None
        while not self.marking.step(10**6):
            pass

    @precondition(lambda self: self.marking is not None and bool(self.garbage()))
    @rule(which=st.integers(0, 20), how=st.sampled_from(["image", "resource", "label", "child"]))
    def name_garbage(self, which: int, how: str) -> None:
        """What is about to be collected is named after all."""
        garbage = self.garbage()
        kind, name = garbage[which % len(garbage)]
        labelled = [
            other for (type_, other) in sorted(self.model.kept() & set(self.model.things)) if type_ == "content"
        ]
        if how == "image" and kind == "content":
            self.image(IMAGES[0], name, frozenset(), None, update=("images", IMAGES[0]) in self.model.things)
        elif how == "label" and labelled:
            thing = self.model.things["content", labelled[0]]
            self.label_blob(labelled[0], thing.refs | {(kind, name)}, thing.backs, thing.is_root)
        elif how == "child" and kind == SNAPSHOTS:
            self.prepare(KEYS[-1], name, frozenset(), is_root=True, lease="")
        else:
            lease = next((name for (type_, name) in self.model.things if type_ == "leases"), "")
            if lease:
                self.resource(lease, (kind, name), add=True)

    def garbage(self) -> list[Name]:
        return sorted({name for name in self.model.things if name[0] in ("content", SNAPSHOTS)} - self.model.kept())

    @rule(what=st.integers(0, 7))
    def collect_or_die(self, what: int) -> None:
        """Death leaves, as kill -9 does, all that was committed, and nothing of a collection."""
        if what == 0 and self.marking is None:
            self.services.collect()
        elif what == 1:
            self.stack.close()
            self._reopen()

    # -- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "services"):
            return
        read = self.services.store.read
        there: list[Name] = []
        there += [("content", name) for (name,) in read("SELECT digest FROM blobs")]
        there += [(SNAPSHOTS, name) for (name,) in read("SELECT name FROM snapshots")]
        there += [("images", name) for (name,) in read("SELECT name FROM images")]
        there += [("containers", name) for (name,) in read("SELECT id FROM containers")]
        there += [("leases", name) for (name,) in read("SELECT id FROM leases")]
        self.model.gone(there)
        assert set(self.model.things) == set(there)


def test_nothing_kept_goes_and_all_else_does() -> None:
    few = settings(max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=few)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_nothing_kept_goes_and_all_else_does_in_a_hundred_thousand_steps() -> None:
    many = settings(max_examples=1500, stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=many)
