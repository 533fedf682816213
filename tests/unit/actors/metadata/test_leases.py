"""Leases as the wire has them, what calls add to theirs, and the default lease of a namespace."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from actors.internal import BlobClaim, BlobForget, BlobNames, BlobRegister, BlobRegistered, LeaseHold
from actors.metadata.holding import DEFAULT_LABEL
from config.duration import MAX_DURATION_S
from config.settings import Gc
from tests.support.metadata import Services, open_services, settings_for
from wharfie.errors import AlreadyExists, InvalidArgument, NotFound, Unimplemented
from wharfie.types import containers, images, leases, namespaces, snapshots
from wharfie.types.base import Descriptor, Empty
from wharfie.types.leases import Lease, Resource

DIGEST = "sha256:" + "a" * 64
EXPIRE = "containerd.io/gc.expire"


def create(services: Services, name: str, **labels: str) -> Lease:
    return services.call("leases.create", leases.Create(id=name, labels=labels), Lease)


def resources(services: Services, name: str) -> list[tuple[str, str]]:
    found = services.call("leases.resources", leases.ListResources(id=name), leases.Resources).resources
    return [(resource.type, resource.id) for resource in found]


def default_leases(services: Services) -> list[Lease]:
    request = leases.List(filters=[f'labels."{DEFAULT_LABEL}"'])
    return services.call("leases.list", request, leases.Listing).leases


def held_by_default(services: Services) -> list[tuple[str, str]]:
    return [entry for lease in default_leases(services) for entry in resources(services, lease.id)]


def register(services: Services, digest: str = DIGEST, lease: str = "", key: str = "") -> BlobRegistered:
    request = BlobRegister(digest=digest, size=1)
    return services.call("metadata.blob_register", request, BlobRegistered, lease=lease, key=key)


def prepare(services: Services, key: str, parent: str = "", lease: str = "") -> None:
    request = snapshots.Prepare(key=key, parent=parent, snapshotter="native")
    services.handle("snapshots.prepare", request, lease=lease)
    services.store.commit()


def test_a_lease_is_made_read_changed_listed_and_deleted(services: Services) -> None:
    made = create(services, "pull-1", owner="me")
    assert (made.id, made.labels) == ("pull-1", {"owner": "me"})
    assert made.created_at_ns == made.updated_at_ns > 0
    create(services, "other")
    assert services.call("leases.get", leases.Get(id="pull-1"), Lease) == made
    update = leases.Update(id="pull-1", labels={EXPIRE: "2033-01-01T00:00:00Z"}, mask=[f"labels.{EXPIRE}"])
    changed = services.call("leases.update", update, Lease)
    assert changed.labels == {"owner": "me", EXPIRE: "2033-01-01T00:00:00Z"}
    listing = services.call("leases.list", leases.List(filters=["labels.owner==me"]), leases.Listing)
    assert listing.leases == [changed]
    assert [lease.id for lease in services.call("leases.list", leases.List(), leases.Listing).leases] == [
        "other",
        "pull-1",
    ]
    services.call("leases.delete", leases.Delete(id="pull-1"), Empty)
    with pytest.raises(NotFound):
        services.call("leases.get", leases.Get(id="pull-1"), Lease)


def test_an_empty_id_gets_a_random_one_and_a_taken_one_is_refused(services: Services) -> None:
    assert create(services, "").id != create(services, "").id
    create(services, "a")
    with pytest.raises(AlreadyExists):
        create(services, "a")
    services.call("leases.create", leases.Create(id="a"), Lease, namespace="other")


def test_resources_are_added_and_deleted_idempotently_and_need_not_exist(services: Services) -> None:
    create(services, "a")
    wanted = [("content", DIGEST), ("images", "x"), ("ingests", "layer-1"), ("snapshots/native", "k")]
    for kind, name in [*wanted, *wanted]:
        services.call("leases.add_resource", leases.AddResource(id="a", resource=Resource(type=kind, id=name)), Empty)
    assert resources(services, "a") == wanted
    for _ in range(2):
        request = leases.DeleteResource(id="a", resource=Resource(type="images", id="x"))
        services.call("leases.delete_resource", request, Empty)
    assert resources(services, "a") == [entry for entry in wanted if entry[0] != "images"]


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        ("content", "no digest", InvalidArgument),
        ("snapshots", "k", InvalidArgument),
        ("snapshots/", "k", InvalidArgument),
        ("images", "", InvalidArgument),
        ("streams", "s", Unimplemented),
    ],
)
def test_a_malformed_resource_is_refused(services: Services, kind: str, name: str, error: type[Exception]) -> None:
    create(services, "a")
    for request in (leases.AddResource, leases.DeleteResource):
        method = "leases.add_resource" if request is leases.AddResource else "leases.delete_resource"
        with pytest.raises(error):
            services.call(method, request(id="a", resource=Resource(type=kind, id=name)), Empty)


def test_every_call_on_an_unknown_lease_says_so(services: Services) -> None:
    blob = Resource(type="content", id=DIGEST)
    for method, request in (
        ("leases.get", leases.Get(id="x")),
        ("leases.update", leases.Update(id="x")),
        ("leases.delete", leases.Delete(id="x")),
        ("leases.resources", leases.ListResources(id="x")),
        ("leases.add_resource", leases.AddResource(id="x", resource=blob)),
        ("leases.delete_resource", leases.DeleteResource(id="x", resource=blob)),
    ):
        with pytest.raises(NotFound, match="lease 'x' not found in namespace 'ci'"):
            services.call(method, request, Empty)


def test_what_a_call_creates_is_added_to_its_lease_and_to_no_other(services: Services) -> None:
    create(services, "a")
    assert register(services, lease="a").new
    prepare(services, "k", lease="a")
    services.call("metadata.lease_hold", LeaseHold(type="ingests", id="layer"), Empty, lease="a")
    target = Descriptor(media_type="a/b", digest=DIGEST, size=1)
    expiring = images.Image(name="e", target=target, labels={EXPIRE: "2033-01-01T00:00:00Z"})
    services.call("images.create", images.Create(image=expiring), images.Image, lease="a")
    services.call("images.create", images.Create(image=images.Image(name="i", target=target)), images.Image, lease="a")
    assert resources(services, "a") == [
        ("content", DIGEST),
        ("images", "e"),
        ("ingests", "layer"),
        ("snapshots/native", "k"),
    ]
    assert default_leases(services) == []


def test_a_committed_ingest_is_held_as_the_blob_that_it_became(services: Services) -> None:
    create(services, "a")
    services.call("metadata.lease_hold", LeaseHold(type="ingests", id="layer"), Empty, lease="a")
    request = BlobRegister(digest=DIGEST, size=1, ref="layer")
    services.call("metadata.blob_register", request, BlobRegistered, lease="a")
    assert resources(services, "a") == [("content", DIGEST)]


def test_a_call_with_an_unknown_lease_creates_nothing(services: Services) -> None:
    with pytest.raises(NotFound, match="lease 'x'"):
        register(services, lease="x")
    with pytest.raises(NotFound, match="lease 'x'"):
        prepare(services, "k", lease="x")
    for request in (BlobClaim(digest=DIGEST), LeaseHold(type="ingests", id="r")):
        method = "metadata.blob_claim" if isinstance(request, BlobClaim) else "metadata.lease_hold"
        with pytest.raises(NotFound, match="lease 'x'"):
            services.call(method, request, Empty, lease="x")
    assert services.store.read("SELECT count(*) FROM blobs").fetchone() == (0,)
    assert services.store.read("SELECT count(*) FROM snapshots").fetchone() == (0,)


def test_a_blob_that_was_there_is_added_to_the_lease_of_who_was_told_so(services: Services) -> None:
    register(services)
    create(services, "a")
    create(services, "b")
    assert not register(services, lease="a").new
    assert services.call("metadata.blob_claim", BlobClaim(digest=DIGEST), BlobNames, lease="b").here
    absent = services.call("metadata.blob_claim", BlobClaim(digest="sha256:" + "b" * 64), BlobNames, lease="b")
    assert not absent.here
    assert resources(services, "a") == resources(services, "b") == [("content", DIGEST)]


def test_without_a_lease_the_default_one_holds_what_is_made_until_it_is_removed(services: Services) -> None:
    register(services)
    prepare(services, "k")
    assert held_by_default(services) == [("content", DIGEST), ("snapshots/native", "k")]
    (lease,) = default_leases(services)
    (expires_ns,) = services.store.read("SELECT expires_ns FROM leases").fetchone()
    assert expires_ns - services.store.now_ns() > 24 * 3600 * 10**9 - 10**9
    assert lease.labels[EXPIRE].endswith("Z")
    services.call("metadata.blob_forget", BlobForget(digest=DIGEST), Empty)
    services.handle("snapshots.remove", snapshots.Remove(key="k", snapshotter="native"))
    services.store.commit()
    assert held_by_default(services) == []


def test_a_committed_snapshot_is_held_under_its_new_name(services: Services) -> None:
    from actors.internal import SnapshotCommit

    create(services, "a")
    for lease, key in (("a", "k"), ("", "l")):
        prepare(services, key, lease=lease)
        commit = SnapshotCommit(name=f"{key}-done", key=key, snapshotter="native", size=0, inodes=0)
        services.call("metadata.snapshot_commit", commit, Empty, lease=lease)
    assert resources(services, "a") == [("snapshots/native", "k-done")]
    assert held_by_default(services) == [("snapshots/native", "l-done")]


def test_a_container_takes_its_snapshot_from_the_default_lease_only(services: Services) -> None:
    create(services, "a")
    prepare(services, "k")
    services.call(
        "leases.add_resource", leases.AddResource(id="a", resource=Resource(type="snapshots/native", id="k")), Empty
    )
    container = containers.Container(id="c", spec={"x": 1}, snapshotter="native", snapshot_key="k")
    services.call("containers.create", containers.Create(container=container), containers.Container)
    assert held_by_default(services) == []
    assert resources(services, "a") == [("snapshots/native", "k")]


def test_a_container_that_is_given_another_snapshot_takes_that_one_over_too(services: Services) -> None:
    prepare(services, "k")
    container = containers.Container(id="c", spec={"x": 1}, snapshotter="native")
    services.call("containers.create", containers.Create(container=container), containers.Container)
    assert held_by_default(services) == [("snapshots/native", "k")]
    update = containers.Update(container=replace(container, snapshot_key="k"), mask=["snapshot_key"])
    services.call("containers.update", update, containers.Container)
    assert held_by_default(services) == []


def test_a_default_lease_begins_anew_after_a_quarter_of_its_time(services: Services) -> None:
    at_ns = 10**18
    services.store.now_ns = lambda: at_ns
    register(services)
    at_ns += 6 * 3600 * 10**9
    register(services, "sha256:" + "b" * 64)
    assert len(default_leases(services)) == 2


def test_a_default_lease_may_hold_as_long_as_a_duration_can_be(directory: str) -> None:
    settings = replace(settings_for(directory), gc=Gc(default_lease_s=MAX_DURATION_S))
    with open_services(directory, settings) as services:
        register(services)
        assert held_by_default(services) == [("content", DIGEST)]


def test_a_namespace_goes_with_its_leases(services: Services) -> None:
    create(services, "a")
    services.call("leases.add_resource", leases.AddResource(id="a", resource=Resource(type="images", id="x")), Empty)
    services.call("namespaces.delete", namespaces.Delete(name="ci"), Empty)
    services.call("namespaces.create", namespaces.Create(name="ci"), namespaces.Namespace)
    assert services.call("leases.list", leases.List(), leases.Listing).leases == []


def test_a_repeated_create_gives_the_same_random_id(services: Services) -> None:
    first = services.call("leases.create", leases.Create(), Lease, key="k1")
    assert services.call("leases.create", leases.Create(), Lease, key="k1") == first
