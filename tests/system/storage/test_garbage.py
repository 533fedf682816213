"""Collections of the whole daemon: what goes by itself, what is found by looking, and through the deaths of its owners."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.conformance.content import touch
from tests.support.gcmodel import SNAPSHOTS, Model, Name, Thing, labels_of, rfc3339
from tests.support.storage import Storage, storage
from tests.support.wait import until
from wharfie.types.base import Descriptor

WORKERS = ("metadata", "content", "snapshot")


def files(daemon: Storage) -> set[str]:
    return {f"sha256:{path.name}" for path in Path(daemon.root).glob("content/blobs/sha256/*")}


def directories(daemon: Storage) -> set[str]:
    root = f"{daemon.root}/snapshots/native"
    return {name for name in os.listdir(root) if name.isdigit()} if os.path.isdir(root) else set()


@pytest.fixture
def bare() -> Iterator[Storage]:
    """A daemon whose namespaces have no default lease, as containerd's have none."""
    with storage({"gc.default_lease_s": 0.0}) as running:
        yield running


def test_what_expires_goes_at_its_time_and_waits_for_no_other_reason(bare: Storage) -> None:
    with bare.connect(namespace="expiry") as client:
        lease = client.leases.create()
        digest = client.with_lease(lease.id).content.put(b"for a second").info.digest
        client.with_lease(lease.id).snapshots.prepare("k", snapshotter="native")
        assert client.content.read(digest) == b"for a second"
        client.leases.update(lease.id, {"containerd.io/gc.expire": rfc3339(time.time_ns() + 10**9)})
        until(lambda: not client.leases.list(), deadline_s=30)
        until(lambda: not client.content.list() and not client.snapshots.list(snapshotter="native"), deadline_s=30)
        until(lambda: not files(bare) and not directories(bare), deadline_s=30)


def test_an_upload_without_a_lease_is_kept_for_a_while(mortal: Storage) -> None:
    with mortal.connect(namespace="uploads") as client:
        digest = client.content.ingest(b"nobody names it").digest
        client.snapshots.prepare("k", snapshotter="native")
        client.content.write("half", b"half of it")
        client.gc.run()
        client.gc.run()
        assert client.content.read(digest) == b"nobody names it"
        assert [snapshot.name for snapshot in client.snapshots.list(snapshotter="native")] == ["k"]
        assert client.content.status("half").offset == 10
        (held,) = client.gc.explain(digest)
        assert held.chains[0][0].type == "leases"


def test_a_container_that_is_deleted_frees_its_snapshot(mortal: Storage) -> None:
    from wharfie.types.containers import Container

    with mortal.connect(namespace="containers") as client:
        client.snapshots.prepare("k", snapshotter="native")
        record = Container(id="c", spec={"x": 1}, snapshotter="native", snapshot_key="k")
        container = client.containers.create_record(record)
        client.gc.run()
        assert [snapshot.name for snapshot in client.snapshots.list(snapshotter="native")] == ["k"]
        client._caller.tell("containers.delete", wharfie.types.containers.Delete(id=container.id))
        client.gc.run()
        assert client.snapshots.list(snapshotter="native") == []


def test_an_image_that_is_deleted_with_sync_is_gone_with_all_its_bytes(mortal: Storage) -> None:
    with mortal.connect(namespace="images") as client:
        lease = client.leases.create()
        leased = client.with_lease(lease.id)
        layer = leased.content.put(b"layer").info.digest
        manifest = leased.content.put(b"manifest", labels={"containerd.io/gc.ref.content.l.0": layer}).info
        target = Descriptor(media_type="a/b", digest=manifest.digest, size=manifest.size)
        client.images.create("app", target)
        client.leases.delete(lease.id, sync=True)
        assert files(mortal) == {layer, manifest.digest}
        client.images.delete("app", sync=True)
        assert (client.content.list(), files(mortal)) == ([], set())


def test_an_ingest_whose_lease_is_given_up_goes_and_one_that_is_held_stays(bare: Storage) -> None:
    with bare.connect(namespace="ingests") as client:
        kept, gone = client.leases.create(), client.leases.create()
        client.with_lease(kept.id).content.write("kept", b"kept")
        client.with_lease(gone.id).content.write("gone", b"gone")
        client.leases.delete(gone.id, sync=True)
        assert [status.ref for status in client.content.statuses()] == ["kept"]


def test_an_ingest_for_whose_bytes_an_old_blob_stands_is_kept_as_any_other_new_one(bare: Storage) -> None:
    with bare.connect(namespace="old") as old, bare.connect(namespace="new") as new:
        stored = old.content.put(b"old", labels={"containerd.io/gc.root": ""}).info
        algorithm, _, encoded = stored.digest.partition(":")
        os.utime(f"{bare.root}/content/blobs/{algorithm}/{encoded}", (0, 0))
        assert touch(new, "ref", expected=stored.digest).offset == stored.size
        new.gc.run()
        assert new.content.commit("ref").digest == stored.digest


def test_files_and_directories_without_a_name_are_told_then_deleted(mortal: Storage) -> None:
    with mortal.connect(namespace="lost") as client:
        client.snapshots.prepare("k", snapshotter="native")
        client.snapshots.prepare("l", snapshotter="native")
        client.snapshots.remove("k", snapshotter="native")
        client.gc.run()  # after which there is no reason for another one
        lost = Path(mortal.root, "content", "blobs", "sha256", "ab" * 32)
        lost.write_bytes(b"lost")
        number = min(map(int, directories(mortal))) - 1
        os.mkdir(f"{mortal.root}/snapshots/native/{number}")
        found = client.gc.orphans()
        assert found.files == ["sha256:" + "ab" * 32]
        assert found.directories == [f"native/{number}"]
        assert lost.exists()
        done = client.gc.run()
        assert (done.files, done.bytes, done.directories) == (1, 4, 1)
        assert not lost.exists()
        found = client.gc.orphans()
        assert (found.files, found.directories) == ([], [])
        assert client.snapshots.mounts("l", snapshotter="native")


class Storm:
    """A client that does anything, and a model of what must be left of it."""

    def __init__(self, daemon: Storage, client: wharfie.Client, seed: int) -> None:
        self.daemon = daemon
        self.client = client
        self.random = random.Random(seed)
        self.model = Model()
        self.blobs: dict[str, bytes] = {}

    def act(self) -> None:
        try:
            self.random.choice(
                [self.put, self.put, self.put, self.label, self.forget, self.prepare, self.prepare, self.remove, self.image,
                 self.unname, self.lease, self.unlease, self.hold, self.collect]
            )()  # fmt: skip
        except (wharfie.NotFound, wharfie.AlreadyExists, wharfie.FailedPrecondition, wharfie.InvalidArgument):
            return

    def any(self, kind: str) -> str:
        found = sorted(name for type_, name in self.model.things if type_ == kind)
        return self.random.choice(found) if found else "none"

    def some(self) -> frozenset[Name]:
        found = sorted(name for name in self.model.things if name[0] in ("content", SNAPSHOTS))
        return frozenset(self.random.sample(found, k=min(len(found), self.random.randrange(3))))

    def look(self, *names: Name) -> None:
        """Forget what was collected before it was named just now; what is there now stays."""
        for kind, name in names:
            try:
                if kind == "content":
                    self.client.content.info(name)
                elif kind == SNAPSHOTS:
                    self.client.snapshots.stat(name, snapshotter="native")
            except wharfie.NotFound:
                self.model.things.pop((kind, name), None)

    def put(self) -> None:
        data = b"blob %d" % self.random.randrange(12)
        lease = self.any("leases") if self.random.random() < 0.7 else ""
        thing = Thing(refs=self.some(), is_root=self.random.random() < 0.1)
        caller = self.client.with_lease(lease) if lease not in ("", "none") else self.client
        known = data in self.blobs.values() and any(
            self.blobs[digest] == data and ("content", digest) in self.model.things for digest in self.blobs
        )
        stored = caller.content.put(data, labels={} if known else labels_of(thing))
        name = ("content", stored.info.digest)
        self.blobs[stored.info.digest] = data
        if stored.new:
            self.model.things[name] = Thing() if known else thing
        if caller is not self.client:
            self.model.things["leases", lease].fields |= {name}
        self.look(*thing.refs)

    def label(self) -> None:
        digest = self.any("content")
        thing = Thing(refs=self.some(), is_root=self.random.random() < 0.3)
        self.client.content.update(digest, labels_of(thing))
        self.model.things["content", digest] = thing
        self.look(*thing.refs)

    def forget(self) -> None:
        digest = self.any("content")
        self.client.content.delete(digest)
        del self.model.things["content", digest]

    def prepare(self) -> None:
        key = f"k{self.random.randrange(10)}"
        lease = self.any("leases")
        caller = self.client.with_lease(lease) if lease != "none" else self.client
        caller.snapshots.prepare(key, snapshotter="native")
        self.model.things[SNAPSHOTS, key] = Thing()
        if caller is not self.client:
            self.model.things["leases", lease].fields |= {(SNAPSHOTS, key)}

    def remove(self) -> None:
        key = self.any(SNAPSHOTS)
        self.client.snapshots.remove(key, snapshotter="native")
        del self.model.things[SNAPSHOTS, key]

    def image(self) -> None:
        name, digest = f"i{self.random.randrange(3)}", self.any("content")
        self.client.images.create(name, Descriptor(media_type="a/b", digest=digest, size=1))
        self.model.things["images", name] = Thing(fields=frozenset({("content", digest)}))
        self.look(("content", digest))

    def unname(self) -> None:
        name = self.any("images")
        self.client.images.delete(name, sync=self.random.random() < 0.5)
        del self.model.things["images", name]

    def lease(self) -> None:
        name = f"l{self.random.randrange(3)}"
        self.client.leases.create(name)
        self.model.things["leases", name] = Thing()

    def unlease(self) -> None:
        name = self.any("leases")
        self.client.leases.delete(name, sync=self.random.random() < 0.5)
        del self.model.things["leases", name]

    def hold(self) -> None:
        name, digest = self.any("leases"), self.any("content")
        self.client.leases.add_resource(name, "content", digest)
        self.model.things["leases", name].fields |= {("content", digest)}
        self.look(("content", digest))

    def collect(self) -> None:
        self.client.gc.run()

    def check(self) -> None:
        client = self.client
        there: list[Name] = [("content", blob.digest) for blob in client.content.list()]
        there += [(SNAPSHOTS, snapshot.name) for snapshot in client.snapshots.list(snapshotter="native")]
        there += [("images", image.name) for image in client.images.list()]
        there += [("leases", lease.id) for lease in client.leases.list()]
        self.model.gone(there, at_once=False)
        for kind, name in self.model.kept():
            if kind == "content":
                assert client.content.read(name) == self.blobs[name]

    def end(self) -> None:
        for _ in range(2):
            self.client.gc.run()
        self.check()
        assert set(self.model.things) == self.model.kept()
        named = {name for kind, name in self.model.things if kind == "content"}
        assert files(self.daemon) == named
        assert len(directories(self.daemon)) == sum(kind == SNAPSHOTS for kind, _ in self.model.things)


def storm(daemon: Storage, *, seed: int, acts: int, every: int) -> None:
    """So many acts, with a worker killed after every few of them, collections all the while."""
    stop = threading.Event()

    def collect() -> None:
        with daemon.connect(timeout_s=60) as client:
            while not stop.is_set():
                client.gc.run()

    thread = threading.Thread(target=collect)
    with daemon.connect(namespace=f"storm-{seed}", timeout_s=60) as client:
        one = Storm(daemon, client, seed)
        thread.start()
        try:
            for number in range(1, acts + 1):
                one.act()
                if number % every == 0:
                    daemon.kill(one.random.choice(WORKERS))
                if number % 20 == 0:
                    one.check()
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()
        one.end()


def test_nothing_kept_goes_and_all_else_does_while_the_owners_die(bare: Storage) -> None:
    storm(bare, seed=1, acts=120, every=12)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 32))
def test_the_same_for_longer(bare: Storage, seed: int) -> None:
    storm(bare, seed=seed, acts=400, every=10)
