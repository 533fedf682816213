"""Names and labels of blobs against a real database."""

from __future__ import annotations

import pytest

from actors.internal import BlobForget, BlobNamed, BlobNames, BlobRegister, BlobRegistered
from tests.support.metadata import Services
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.types import content
from wharfie.types.base import Empty
from wharfie.types.content import Info

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def register(services: Services, digest: str = A, size: int = 5, namespace: str = "ci", **labels: str) -> bool:
    request = BlobRegister(digest=digest, size=size, labels=labels)
    return services.call("metadata.blob_register", request, BlobRegistered, namespace=namespace).new


def info(services: Services, digest: str = A) -> Info:
    return services.call("content.info", content.GetInfo(digest=digest), Info)


def named(services: Services, digest: str = A, namespace: str = "ci") -> BlobNames:
    return services.call("metadata.blob_named", BlobNamed(digest=digest), BlobNames, namespace=namespace)


def digests(services: Services, *filters: str) -> list[str]:
    listing = services.call("content.list", content.List(filters=[*filters]), content.Listing)
    return [blob.digest for blob in listing.blobs]


def test_registering_is_idempotent_merges_labels_and_is_told_once(services: Services) -> None:
    assert register(services, a="1", b="2")
    made = info(services)
    assert (made.digest, made.size, made.labels) == (A, 5, {"a": "1", "b": "2"})
    assert not register(services)
    assert info(services) == made
    assert not register(services, b="3", c="4")
    assert info(services).labels == {"a": "1", "b": "3", "c": "4"}
    assert info(services).created_at_ns == made.created_at_ns
    assert services.topics() == ["/content/create"]
    assert services.events() == [{"digest": A, "size": 5}]


def test_a_digest_has_one_size(services: Services) -> None:
    register(services)
    with pytest.raises(FailedPrecondition):
        register(services, size=6)


def test_who_names_a_digest(services: Services) -> None:
    assert named(services) == BlobNames(here=False, anywhere=False)
    register(services, namespace="a")
    assert named(services, namespace="a") == BlobNames(here=True, anywhere=True, size=5)
    assert named(services, namespace="b") == BlobNames(here=False, anywhere=True, size=5)
    register(services, namespace="b")
    services.call("metadata.blob_forget", BlobForget(digest=A), Empty, namespace="a")
    assert named(services, namespace="a") == BlobNames(here=False, anywhere=True, size=5)
    services.call("metadata.blob_forget", BlobForget(digest=A), Empty, namespace="b")
    assert named(services) == BlobNames(here=False, anywhere=False)
    assert services.topics() == ["/content/create", "/content/create", "/content/delete", "/content/delete"]


def test_forgetting_what_is_not_named_is_not_found(services: Services) -> None:
    with pytest.raises(NotFound):
        services.call("metadata.blob_forget", BlobForget(digest=A), Empty)
    with pytest.raises(NotFound):
        info(services)


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "a" * 32, "../" + A])
def test_a_digest_is_checked_at_every_door(services: Services, digest: str) -> None:
    for method, request in (
        ("content.info", content.GetInfo(digest=digest)),
        ("content.update", content.Update(digest=digest)),
        ("metadata.blob_register", BlobRegister(digest=digest, size=1)),
        ("metadata.blob_forget", BlobForget(digest=digest)),
        ("metadata.blob_named", BlobNamed(digest=digest)),
    ):
        with pytest.raises(InvalidArgument):
            services.call(method, request, Empty)


@pytest.mark.parametrize("size", [-1, 1 << 63])
def test_a_size_is_a_count(services: Services, size: int) -> None:
    with pytest.raises(InvalidArgument):
        register(services, size=size)


@pytest.mark.parametrize(
    ("mask", "labels", "expected"),
    [
        ([], {"n": "1"}, {"n": "1"}),
        (["labels"], {}, {}),
        (["labels.containerd.io/gc.root"], {"containerd.io/gc.root": "t"}, {"a": "1", "containerd.io/gc.root": "t"}),
        (["labels.a"], {"a": ""}, {}),
    ],
)
def test_update_changes_labels(
    services: Services, mask: list[str], labels: dict[str, str], expected: dict[str, str]
) -> None:
    register(services, a="1")
    made = info(services)
    updated = services.call("content.update", content.Update(digest=A, labels=labels, mask=mask), Info)
    assert updated.labels == expected
    assert updated.updated_at_ns > made.updated_at_ns
    assert info(services) == updated


@pytest.mark.parametrize("path", ["size", "digest", "labels."])
def test_nothing_but_labels_can_be_updated(services: Services, path: str) -> None:
    register(services)
    with pytest.raises(InvalidArgument):
        services.call("content.update", content.Update(digest=A, mask=[path]), Info)


def test_lists_are_sorted_and_filtered(services: Services) -> None:
    register(services, B, x="1")
    register(services, A)
    register(services, A, namespace="other")
    assert digests(services) == [A, B]
    assert digests(services, f"digest=={A}") == [A]
    assert digests(services, "labels.x==1") == [B]
    assert digests(services, "size==5") == []
