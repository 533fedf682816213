"""`containers.*` against a real database."""

from __future__ import annotations

from typing import Any

import pytest

from actors.call import Call
from actors.metadata.containers import ContainerService
from tests.support.metadata import Services
from wharfie.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from wharfie.protocol import Routed
from wharfie.types import containers, namespaces
from wharfie.types.base import Empty
from wharfie.types.containers import Container, Runtime
from wharfie.types.namespaces import Namespace

FULL = Container(
    id="c1",
    image="docker.io/library/busybox:latest",
    labels={"env": "prod", "x.y/z": "1"},
    runtime=Runtime(name="io.containerd.runc.v2", options={"systemd": True}),
    spec={"ociVersion": "1.1.0", "process": {"args": ["true"], "env": []}},
    snapshotter="overlayfs",
    snapshot_key="c1",
    extensions={"ext": {"a": None}},
    sandbox="pod",
)


def create(services: Services, namespace: str = "ci", **fields: Any) -> Container:
    container = Container(**{"id": "c1", "spec": {"x": 1}, **fields})
    return services.call("containers.create", containers.Create(container=container), Container, namespace=namespace)


def update(services: Services, mask: list[str], **fields: Any) -> Container:
    request = containers.Update(container=Container(**{"id": "c1", **fields}), mask=mask)
    return services.call("containers.update", request, Container)


def get(services: Services, name: str = "c1") -> Container:
    return services.call("containers.get", containers.Get(id=name), Container)


def ids(services: Services, *filters: str) -> list[str]:
    listing = services.call("containers.list", containers.List(filters=[*filters]), containers.Listing)
    return [container.id for container in listing.containers]


def test_a_record_comes_back_whole_with_the_servers_times(services: Services) -> None:
    made = services.call("containers.create", containers.Create(container=FULL), Container)
    assert made.created_at_ns == made.updated_at_ns > 0
    assert {f: getattr(made, f) for f in FULL.__struct_fields__ if not f.endswith("_ns")} == {
        f: getattr(FULL, f) for f in FULL.__struct_fields__ if not f.endswith("_ns")
    }
    assert get(services) == made
    assert services.topics() == ["/containers/create"]
    assert services.events() == [
        {
            "id": "c1",
            "image": FULL.image,
            "runtime": {"name": "io.containerd.runc.v2", "options": {"systemd": True}},
        }
    ]


def test_times_of_the_client_are_ignored(services: Services) -> None:
    assert create(services, created_at_ns=5, updated_at_ns=6).created_at_ns > 6


def test_a_create_makes_its_namespace_without_an_event(services: Services) -> None:
    create(services)
    listing = services.call("namespaces.list", namespaces.List(), namespaces.Listing)
    assert [namespace.name for namespace in listing.namespaces] == ["ci"]
    assert services.topics() == ["/containers/create"]


def test_a_refused_create_makes_no_namespace(services: Services) -> None:
    with pytest.raises(InvalidArgument):
        create(services, spec={})
    assert services.call("namespaces.get", namespaces.Get(name="ci"), Namespace).created_at_ns == 0


def test_namespaces_do_not_see_each_other(services: Services) -> None:
    create(services, "a")
    create(services, "b", image="other")
    with pytest.raises(NotFound):
        get(services)
    with pytest.raises(AlreadyExists):
        create(services, "a")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": "x" * 77}, "id"),
        ({"spec": {}}, "spec"),
        ({"runtime": Runtime(name="")}, "runtime.name"),
        ({"snapshot_key": "k"}, "snapshotter"),
        ({"extensions": {"": 1}}, "extensions"),
        ({"labels": {"k": "v" * 4096}}, "labels"),
    ],
)
def test_a_faulty_record_is_refused_with_the_field(services: Services, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        create(services, **fields)
    assert caught.value.details["field"] == field
    assert ids(services) == []


@pytest.mark.parametrize("namespace", ["", "../x"])
@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("containers.get", containers.Get(id="c1")),
        ("containers.list", containers.List()),
        ("containers.create", containers.Create(container=FULL)),
        ("containers.update", containers.Update(container=FULL)),
        ("containers.delete", containers.Delete(id="c1")),
    ],
)
def test_every_method_needs_a_namespace(services: Services, namespace: str, method: str, request_: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        services.call(method, request_, Empty, namespace=namespace)
    assert caught.value.details["field"] == "namespace"


@pytest.mark.parametrize(
    ("mask", "fields", "changed"),
    [
        (["labels"], {"labels": {"a": "1"}, "image": "ignored"}, {"labels": {"a": "1"}}),
        (["labels.x.y/z"], {"labels": {"x.y/z": "2"}}, {"labels": {"env": "prod", "x.y/z": "2"}}),
        (["labels.env"], {"labels": {"env": ""}}, {"labels": {"x.y/z": "1"}}),
        (["labels.env"], {}, {"labels": {"x.y/z": "1"}}),
        (["spec"], {"spec": {"new": 1}}, {"spec": {"new": 1}}),
        (["image"], {"image": ""}, {"image": ""}),
        (["snapshot_key"], {"snapshot_key": "k2"}, {"snapshot_key": "k2"}),
        (["snapshotkey"], {"snapshot_key": "k2"}, {"snapshot_key": "k2"}),
        (["extensions"], {"extensions": {"n": 1}}, {"extensions": {"n": 1}}),
        (["extensions.n"], {"extensions": {"n": 1}}, {"extensions": {"ext": {"a": None}, "n": 1}}),
        (["extensions.ext"], {}, {"extensions": {}}),
        (
            ["image", "labels.env"],
            {"image": "i2", "labels": {"env": "dev"}},
            {"image": "i2", "labels": {"env": "dev", "x.y/z": "1"}},
        ),
    ],
)
def test_a_mask_changes_what_it_names_and_nothing_else(
    services: Services, mask: list[str], fields: dict[str, Any], changed: dict[str, Any]
) -> None:
    made = services.call("containers.create", containers.Create(container=FULL), Container)
    updated = update(services, mask, **fields)
    assert updated.updated_at_ns > made.updated_at_ns
    for field in FULL.__struct_fields__:
        if field != "updated_at_ns":
            assert getattr(updated, field) == changed.get(field, getattr(made, field)), field
    assert get(services) == updated
    assert services.topics() == ["/containers/create", "/containers/update"]
    assert services.events()[1] == {
        "id": "c1",
        "image": updated.image,
        "labels": updated.labels,
        "snapshot_key": updated.snapshot_key,
    }


def test_an_empty_mask_replaces_all_that_may_change(services: Services) -> None:
    services.call("containers.create", containers.Create(container=FULL), Container)
    updated = update(services, [], spec={"n": 1}, snapshotter="overlayfs")
    assert (updated.labels, updated.extensions, updated.image, updated.snapshot_key) == ({}, {}, "", "")
    assert (updated.spec, updated.sandbox) == ({"n": 1}, "pod")


@pytest.mark.parametrize("fields", [{"snapshotter": "native"}, {"runtime": Runtime(name="other")}])
def test_an_empty_mask_with_another_snapshotter_or_runtime_is_refused(
    services: Services, fields: dict[str, Any]
) -> None:
    create(services, snapshotter="overlayfs")
    with pytest.raises(InvalidArgument, match="cannot be changed"):
        update(services, [], **{"spec": {"x": 1}, "snapshotter": "overlayfs", **fields})


def test_an_update_that_would_leave_a_faulty_record_changes_nothing(services: Services) -> None:
    made = create(services)
    for mask, fields in (
        (["spec"], {"spec": {}}),
        (["snapshot_key"], {"snapshot_key": "k"}),
        (["labels.k"], {"labels": {"k": "v" * 4096}}),
        (["id"], {}),
        (["runtime"], {}),
    ):
        with pytest.raises(InvalidArgument):
            update(services, mask, **fields)
    assert get(services) == made


def test_what_is_missing_is_not_found(services: Services) -> None:
    with pytest.raises(NotFound):
        get(services)
    with pytest.raises(NotFound):
        update(services, ["image"])
    with pytest.raises(NotFound):
        services.call("containers.delete", containers.Delete(id="c1"), Empty)


def test_delete(services: Services) -> None:
    create(services)
    services.call("containers.delete", containers.Delete(id="c1"), Empty)
    assert ids(services) == []
    assert services.topics()[-1] == "/containers/delete"
    assert services.events()[-1] == {"id": "c1"}
    create(services)


def test_lists_are_sorted_and_filtered(services: Services) -> None:
    create(services, id="b", image="busybox", labels={"env": "prod"})
    create(services, id="a", image="alpine", labels={"env": "dev", "a.b": "c"})
    create(services, id="c", runtime=Runtime(name="kata"))
    assert ids(services) == ["a", "b", "c"]
    assert ids(services, "id==b") == ["b"]
    assert ids(services, "image~=^al", "labels.env==prod") == ["a", "b"]
    assert ids(services, "labels.a.b==c,image") == ["a"]
    assert ids(services, "runtime.name==kata") == ["c"]
    assert ids(services, "image") == ["a", "b"]
    assert ids(services, "created_at") == []
    with pytest.raises(InvalidArgument):
        ids(services, "id=b")


def test_a_list_without_specs_has_everything_else(services: Services) -> None:
    made = services.call("containers.create", containers.Create(container=FULL), Container)
    for without in (True, False):
        listing = services.call("containers.list", containers.List(without_spec=without), containers.Listing)
        (found,) = listing.containers
        assert (found.spec, found.extensions) == (({}, {}) if without else (made.spec, made.extensions))
        assert (found.id, found.labels, found.created_at_ns) == (made.id, made.labels, made.created_at_ns)


def test_a_list_larger_than_a_message_is_refused_with_a_remedy(services: Services) -> None:
    for n in range(3):
        create(services, id=f"c{n}", spec={"x": "y" * 1000})
    service = ContainerService(services.store, reply_max_bytes=3000)
    call = Call(Routed(id=1, namespace="ci"))
    with pytest.raises(ResourceExhausted) as caught:
        service.list(call, containers.List())
    assert caught.value.details["max_bytes"] == 3000
    assert not caught.value.retryable
    assert len(service.list(call, containers.List(without_spec=True))) < 3000
