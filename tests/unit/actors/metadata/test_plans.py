"""What the database does for each method: every row that is looked up is found by an index, none by reading a table."""

from __future__ import annotations

import re

from actors.internal import (
    BlobClaim,
    BlobForget,
    BlobNamed,
    BlobRegister,
    BlobRegistered,
    BlobsNamed,
    EventsForward,
    ForwardedEvent,
    IngestName,
    IngestsHeld,
    LeaseHold,
    SnapshotCommit,
    SnapshotCreate,
    SnapshotGet,
    SnapshotNumbers,
    SnapshotRemove,
)
from actors.metadata.housekeeping import Housekeeping
from tests.support.metadata import Services
from wharfie import methods
from wharfie.types import containers, content, events, images, leases, namespaces, snapshots
from wharfie.types.base import Descriptor, Empty
from wharfie.types.snapshots import Kind

DIGEST = "sha256:" + "a" * 64
IMAGE = images.Image(name="i", target=Descriptor(media_type="a/b", digest=DIGEST, size=1))
CONTAINER = containers.Container(id="c", spec={"x": 1})

BLOB = leases.Resource(type="content", id=DIGEST)

CALLS = (
    ("namespaces.create", namespaces.Create(name="ci")),
    ("namespaces.get", namespaces.Get(name="ci")),
    ("namespaces.list", namespaces.List()),
    ("namespaces.update", namespaces.Update(name="ci")),
    ("containers.create", containers.Create(container=CONTAINER)),
    ("containers.get", containers.Get(id="c")),
    ("containers.list", containers.List()),
    ("containers.list", containers.List(without_spec=True)),
    ("containers.update", containers.Update(container=CONTAINER)),
    ("containers.delete", containers.Delete(id="c")),
    ("images.create", images.Create(image=IMAGE)),
    ("images.get", images.Get(name="i")),
    ("images.list", images.List()),
    ("images.update", images.Update(image=IMAGE)),
    ("images.delete", images.Delete(name="i", target=IMAGE.target)),
    ("metadata.blob_register", BlobRegister(digest=DIGEST, size=1)),
    ("metadata.blob_named", BlobNamed(digest=DIGEST)),
    ("metadata.blob_claim", BlobClaim(digest=DIGEST)),
    ("metadata.blobs_named", BlobsNamed(digests=[DIGEST])),
    ("metadata.ingests_held", IngestsHeld(ingests=[IngestName(namespace="ci", ref="r")])),
    ("content.info", content.GetInfo(digest=DIGEST)),
    ("content.list", content.List()),
    ("content.update", content.Update(digest=DIGEST)),
    ("metadata.blob_forget", BlobForget(digest=DIGEST)),
    ("metadata.snapshot_create", SnapshotCreate(key="k", kind=Kind.ACTIVE, snapshotter="native")),
    ("metadata.snapshot_commit", SnapshotCommit(name="n", key="k", snapshotter="native", size=1, inodes=1)),
    ("metadata.snapshot_create", SnapshotCreate(key="k", kind=Kind.VIEW, parent="n", snapshotter="native")),
    ("metadata.snapshot_get", SnapshotGet(key="k", snapshotter="native")),
    ("metadata.snapshot_numbers", SnapshotNumbers(snapshotter="native")),
    ("snapshots.stat", snapshots.Stat(key="k", snapshotter="native")),
    ("snapshots.list", snapshots.List(snapshotter="native")),
    ("snapshots.update", snapshots.Update(key="k", snapshotter="native")),
    ("metadata.snapshot_remove", SnapshotRemove(key="k", snapshotter="native")),
    ("metadata.snapshot_remove", SnapshotRemove(key="n", snapshotter="native")),
    ("snapshots.prepare", snapshots.Prepare(key="p", snapshotter="native")),
    ("snapshots.view", snapshots.View(key="v", snapshotter="native")),
    ("snapshots.mounts", snapshots.GetMounts(key="p", snapshotter="native")),
    ("snapshots.usage", snapshots.GetUsage(key="p", snapshotter="native")),
    ("snapshots.remove", snapshots.Remove(key="v", snapshotter="native")),
    ("snapshots.remove", snapshots.Remove(key="p", snapshotter="native")),
    ("leases.create", leases.Create(id="l")),
    ("leases.get", leases.Get(id="l")),
    ("leases.list", leases.List()),
    ("leases.update", leases.Update(id="l")),
    ("leases.add_resource", leases.AddResource(id="l", resource=BLOB)),
    ("leases.resources", leases.ListResources(id="l")),
    ("leases.delete_resource", leases.DeleteResource(id="l", resource=BLOB)),
    ("metadata.lease_hold", LeaseHold(type="ingests", id="r")),
    ("leases.delete", leases.Delete(id="l")),
    ("events.publish", events.Publish(topic="/t")),
    ("events.forward", EventsForward(events=[ForwardedEvent(topic="/t", timestamp_ns=1, event={}, key="k")])),
    ("namespaces.delete", namespaces.Delete(name="ci")),
)

# Read from one end and stopped early, or read whole because that is what was asked for.
IN_ORDER = {"json_each", "replies", "events", "forwarded", "namespaces", "sqlite_sequence", "chain"}


def test_every_method_of_this_worker_is_served_and_no_other(services: Services) -> None:
    owned = {name for name, method in methods.METHODS.items() if method.owner == "metadata"}
    assert set(services.handlers) == owned


def test_nothing_is_looked_up_by_reading_a_whole_table_or_sorted_by_hand(services: Services) -> None:
    statements: set[str] = set()
    connection = services.store.connection
    connection.set_trace_callback(statements.add)
    for number, (method, request) in enumerate(CALLS):
        services.call(method, request, Empty if method != "metadata.blob_register" else BlobRegistered, key=str(number))
    Housekeeping(services.store).step()
    services.store.events.after(0)
    services.collect()
    connection.set_trace_callback(None)
    asked = {method for method, _ in CALLS} | {
        "events.subscribe",
        "metadata.ping",
        "gc.run",
        "gc.explain",
        "gc.orphans",
    }
    assert asked == set(services.handlers)
    looked_at = 0
    for statement in statements:
        if not re.match(r"(SELECT|UPDATE|DELETE|INSERT|WITH|\s*WITH)", statement):
            continue
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            step = str(row[3])
            looked_at += 1
            scanned = re.match(r"SCAN (\w+)", step)
            assert not scanned or scanned[1] in IN_ORDER or "USING" in step, f"{step}: {statement}"
            if "chain" not in statement:
                assert "TEMP B-TREE" not in step, f"{step}: {statement}"
    assert looked_at > 20
