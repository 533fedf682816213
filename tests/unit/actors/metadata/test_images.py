"""`images.*` against a real database."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.metadata import Services
from wharfie.errors import AlreadyExists, InvalidArgument, NotFound
from wharfie.types import images
from wharfie.types.base import Descriptor, Empty
from wharfie.types.images import Image

TARGET = Descriptor(
    media_type="application/vnd.oci.image.manifest.v1+json",
    digest="sha256:" + "a" * 64,
    size=100,
    annotations={"org.x": "1", "b": "2"},
)
OTHER = Descriptor(media_type="application/vnd.oci.image.index.v1+json", digest="sha256:" + "b" * 64, size=7)
NAME = "docker.io/library/busybox:latest"


def create(services: Services, name: str = NAME, **fields: Any) -> Image:
    image = Image(**{"name": name, "target": TARGET, "labels": {"a": "1", "x.y": "2"}, **fields})
    return services.call("images.create", images.Create(image=image), Image)


def update(services: Services, mask: list[str], name: str = NAME, **fields: Any) -> Image:
    request = images.Update(image=Image(**{"name": name, "target": OTHER, **fields}), mask=mask)
    return services.call("images.update", request, Image)


def get(services: Services, name: str = NAME) -> Image:
    return services.call("images.get", images.Get(name=name), Image)


def names(services: Services, *filters: str) -> list[str]:
    listing = services.call("images.list", images.List(filters=[*filters]), images.Listing)
    return [image.name for image in listing.images]


def test_an_image_comes_back_with_the_servers_times(services: Services) -> None:
    made = create(services, created_at_ns=1)
    assert made.created_at_ns == made.updated_at_ns > 1
    assert get(services) == made
    assert made.target == TARGET
    assert services.topics() == ["/images/create"]
    assert services.events() == [{"name": NAME, "labels": {"a": "1", "x.y": "2"}}]


def test_a_name_is_taken_once_for_each_namespace(services: Services) -> None:
    create(services)
    with pytest.raises(AlreadyExists):
        create(services, target=OTHER)
    services.call("images.create", images.Create(image=Image(name=NAME, target=OTHER)), Image, namespace="other")
    assert get(services).target == TARGET


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"target": replace(TARGET, digest="sha256:abc")}, "target.digest"),
        ({"target": replace(TARGET, digest="")}, "target.digest"),
        ({"target": replace(TARGET, size=0)}, "target.size"),
        ({"target": replace(TARGET, size=-1)}, "target.size"),
        ({"target": replace(TARGET, size=1 << 63)}, "target.size"),
        ({"target": replace(TARGET, media_type="")}, "target.media_type"),
        ({"target": replace(TARGET, media_type="tar")}, "target.media_type"),
        ({"labels": {"k": "v" * 4096}}, "labels"),
    ],
)
def test_a_faulty_image_is_refused_with_the_field(services: Services, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(services, **fields)
    assert caught.value.details["field"] == field
    assert names(services) == []


@pytest.mark.parametrize(
    ("mask", "fields", "labels", "target"),
    [
        (["labels"], {"labels": {"n": "1"}}, {"n": "1"}, TARGET),
        (["labels.x.y"], {"labels": {"x.y": "3", "n": "1"}}, {"a": "1", "x.y": "3"}, TARGET),
        (["labels.a"], {}, {"x.y": "2"}, TARGET),
        (["target"], {}, {"a": "1", "x.y": "2"}, OTHER),
        (
            ["annotations"],
            {"target": replace(OTHER, annotations={"n": "1"})},
            {"a": "1", "x.y": "2"},
            replace(TARGET, annotations={"n": "1"}),
        ),
        (
            ["annotations.org.x"],
            {"target": replace(OTHER, annotations={"org.x": "9"})},
            {"a": "1", "x.y": "2"},
            replace(TARGET, annotations={"org.x": "9", "b": "2"}),
        ),
        ([], {"labels": {"n": "1"}}, {"n": "1"}, OTHER),
    ],
)
def test_update(
    services: Services, mask: list[str], fields: dict[str, Any], labels: dict[str, str], target: Descriptor
) -> None:
    made = create(services)
    updated = update(services, mask, **fields)
    assert (updated.labels, updated.target) == (labels, target)
    assert updated.created_at_ns == made.created_at_ns
    assert updated.updated_at_ns > made.updated_at_ns
    assert get(services) == updated
    assert services.topics()[-1] == "/images/update"
    assert services.events()[-1] == {"name": NAME, "labels": labels}


def test_a_refused_update_changes_nothing(services: Services) -> None:
    made = create(services)
    for mask, target in ((["name"], OTHER), (["target"], replace(OTHER, size=0)), (["target.size"], OTHER)):
        with pytest.raises(InvalidArgument):
            update(services, mask, target=target)
    assert get(services) == made


def test_what_is_missing_is_not_found(services: Services) -> None:
    create(services)
    with pytest.raises(NotFound):
        get(services, "other")
    with pytest.raises(NotFound):
        update(services, ["labels"], name="other")
    with pytest.raises(NotFound):
        services.call("images.delete", images.Delete(name="other"), Empty)


def test_delete_with_a_guard_goes_only_when_the_digest_is_the_stored_one(services: Services) -> None:
    create(services)
    with pytest.raises(NotFound) as caught:
        services.call("images.delete", images.Delete(name=NAME, target=OTHER), Empty)
    assert caught.value.details["digest"] == TARGET.digest
    assert names(services) == [NAME]
    services.call("images.delete", images.Delete(name=NAME, target=TARGET), Empty)
    assert names(services) == []
    assert services.topics() == ["/images/create", "/images/delete"]
    assert services.events()[-1] == {"name": NAME}


def test_lists_are_sorted_and_filtered(services: Services) -> None:
    create(services, "b", labels={"env": "prod"})
    create(services, "a", target=OTHER)
    assert names(services) == ["a", "b"]
    assert names(services, f"target.digest=={OTHER.digest}") == ["a"]
    assert names(services, f"target.mediatype=={TARGET.media_type}") == ["b"]
    assert names(services, "labels.env") == ["b"]
    assert names(services, 'annotations."org.x"==1') == ["b"]
    assert names(services, "name~=^[ab]$") == ["a", "b"]


def test_the_digest_that_is_looked_up_by_follows_an_update(services: Services) -> None:
    create(services)
    update(services, ["target"])
    rows = services.store.read("SELECT digest FROM images").fetchall()
    assert rows == [(OTHER.digest,)]
