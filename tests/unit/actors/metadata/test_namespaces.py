"""`namespaces.*` against a real database."""

from __future__ import annotations

import pytest

from actors.internal import BlobRegister, SnapshotCreate, SnapshotRow
from tests.support.metadata import Services
from wharfie.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wharfie.types import containers, images, namespaces
from wharfie.types.base import Descriptor, Empty
from wharfie.types.containers import Container
from wharfie.types.images import Image
from wharfie.types.namespaces import Namespace
from wharfie.types.snapshots import Kind

DIGEST = "sha256:" + "a" * 64


def create(services: Services, name: str, labels: dict[str, str] | None = None) -> Namespace:
    return services.call("namespaces.create", namespaces.Create(name=name, labels=labels or {}), Namespace)


def get(services: Services, name: str) -> Namespace:
    return services.call("namespaces.get", namespaces.Get(name=name), Namespace)


def names(services: Services, *filters: str) -> list[str]:
    listing = services.call("namespaces.list", namespaces.List(filters=[*filters]), namespaces.Listing)
    return [namespace.name for namespace in listing.namespaces]


def test_create_get_list_update_delete(services: Services) -> None:
    made = create(services, "ci", {"team": "a", "empty": ""})
    assert made.labels == {"team": "a"}
    assert made.created_at_ns > 0
    assert get(services, "ci") == made
    create(services, "a")
    assert names(services) == ["a", "ci"]
    services.call("namespaces.delete", namespaces.Delete(name="a"), Empty)
    assert names(services) == ["ci"]
    assert services.topics() == ["/namespaces/create", "/namespaces/create", "/namespaces/delete"]
    assert services.events()[0] == {"name": "ci", "labels": {"team": "a"}}
    assert services.events()[2] == {"name": "a"}


def test_an_unknown_namespace_has_no_labels_and_is_not_made_by_looking(services: Services) -> None:
    assert get(services, "nobody") == Namespace(name="nobody")
    assert names(services) == []


def test_a_name_is_taken_once(services: Services) -> None:
    create(services, "ci")
    with pytest.raises(AlreadyExists) as caught:
        create(services, "ci")
    assert caught.value.details == {"name": "ci"}


@pytest.mark.parametrize("name", ["", "../x", "a" * 77, "a b"])
def test_names_are_identifiers(services: Services, name: str) -> None:
    for method, request in (
        ("namespaces.create", namespaces.Create(name=name)),
        ("namespaces.get", namespaces.Get(name=name)),
        ("namespaces.update", namespaces.Update(name=name)),
        ("namespaces.delete", namespaces.Delete(name=name)),
    ):
        with pytest.raises(InvalidArgument):
            services.call(method, request, Namespace)


@pytest.mark.parametrize(
    ("mask", "labels", "expected"),
    [
        ([], {"c": "3"}, {"c": "3"}),
        ([], {}, {}),
        (["labels.a"], {"a": "9"}, {"a": "9", "b": "2"}),
        (["labels.a"], {"a": ""}, {"b": "2"}),
        (["labels.a"], {}, {"b": "2"}),
        (["labels.x.y/z"], {"x.y/z": "1", "a": "ignored"}, {"a": "1", "b": "2", "x.y/z": "1"}),
    ],
)
def test_update(services: Services, mask: list[str], labels: dict[str, str], expected: dict[str, str]) -> None:
    made = create(services, "ci", {"a": "1", "b": "2"})
    updated = services.call("namespaces.update", namespaces.Update(name="ci", labels=labels, mask=mask), Namespace)
    assert updated == Namespace(name="ci", labels=expected, created_at_ns=made.created_at_ns)
    assert get(services, "ci") == updated
    assert services.topics()[-1] == "/namespaces/update"
    assert services.events()[-1] == {"name": "ci", "labels": expected}


@pytest.mark.parametrize("path", ["labels", "name", "labels."])
def test_only_single_labels_can_be_masked(services: Services, path: str) -> None:
    with pytest.raises(InvalidArgument):
        services.call("namespaces.update", namespaces.Update(name="ci", mask=[path]), Namespace)
    assert names(services) == []


def test_update_makes_a_namespace_that_was_not_there(services: Services) -> None:
    services.call("namespaces.update", namespaces.Update(name="new", labels={"a": "1"}), Namespace)
    assert get(services, "new").labels == {"a": "1"}


def test_labels_have_a_size(services: Services) -> None:
    with pytest.raises(InvalidArgument):
        create(services, "ci", {"k": "v" * 4096})
    create(services, "ci")
    with pytest.raises(InvalidArgument):
        services.call("namespaces.update", namespaces.Update(name="ci", labels={"k": "v" * 4096}), Namespace)
    assert get(services, "ci").labels == {}


def test_filters(services: Services) -> None:
    create(services, "a", {"env": "prod"})
    create(services, "b", {"env": "dev"})
    assert names(services, "labels.env==prod") == ["a"]
    assert names(services, "name==b", "labels.env==prod") == ["a", "b"]
    assert names(services, "nothing") == []


def test_deleting_an_unknown_namespace_is_not_found(services: Services) -> None:
    with pytest.raises(NotFound):
        services.call("namespaces.delete", namespaces.Delete(name="ci"), Empty)


def test_a_namespace_is_deleted_only_when_empty_and_tells_what_is_left(services: Services) -> None:
    target = Descriptor(media_type="application/x", digest=DIGEST, size=1)
    services.call("images.create", images.Create(image=Image(name="i", target=target)), Image)
    services.call("containers.create", containers.Create(container=Container(id="c", spec={"x": 1})), Container)
    services.call("metadata.blob_register", BlobRegister(digest=DIGEST, size=1), Empty)
    for snapshotter in ("native", "overlayfs", "overlayfs"):
        key = f"{snapshotter}{len(services.topics())}"
        request = SnapshotCreate(key=key, kind=Kind.ACTIVE, snapshotter=snapshotter)
        services.call("metadata.snapshot_create", request, SnapshotRow)
    with pytest.raises(FailedPrecondition) as caught:
        services.call("namespaces.delete", namespaces.Delete(name="ci"), Empty)
    assert caught.value.details["remaining"] == {
        "images": 1,
        "blobs": 1,
        "containers": 1,
        "snapshots on 'native'": 1,
        "snapshots on 'overlayfs'": 2,
    }
    assert "2 snapshots on 'overlayfs'" in str(caught.value)
    assert names(services) == ["ci"]


def test_what_lives_in_another_namespace_does_not_keep_this_one(services: Services) -> None:
    create(services, "empty")
    services.call("containers.create", containers.Create(container=Container(id="c", spec={"x": 1})), Container)
    services.call("namespaces.delete", namespaces.Delete(name="empty"), Empty)
    assert names(services) == ["ci"]
