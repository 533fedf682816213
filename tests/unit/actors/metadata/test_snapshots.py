"""Names of snapshots against a real database."""

from __future__ import annotations

import pytest

from actors.internal import (
    Numbers,
    SnapshotCommit,
    SnapshotCreate,
    SnapshotGet,
    SnapshotNumbers,
    SnapshotRemove,
    SnapshotRow,
)
from tests.support.metadata import Services, open_services
from wharfie.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wharfie.types import snapshots
from wharfie.types.base import Empty
from wharfie.types.snapshots import Info, Kind

OVERLAY = "overlayfs"


def create(
    services: Services,
    key: str,
    parent: str = "",
    kind: Kind = Kind.ACTIVE,
    snapshotter: str = OVERLAY,
    namespace: str = "ci",
    **labels: str,
) -> SnapshotRow:
    request = SnapshotCreate(key=key, kind=kind, parent=parent, snapshotter=snapshotter, labels=labels)
    return services.call("metadata.snapshot_create", request, SnapshotRow, namespace=namespace)


def commit(services: Services, name: str, key: str, parent: str = "", **labels: str) -> SnapshotRow:
    request = SnapshotCommit(name=name, key=key, snapshotter=OVERLAY, size=10, inodes=2, labels=labels, parent=parent)
    services.call("metadata.snapshot_commit", request, Empty)
    return get(services, name)


def get(services: Services, key: str) -> SnapshotRow:
    return services.call("metadata.snapshot_get", SnapshotGet(key=key, snapshotter=OVERLAY), SnapshotRow)


def remove(services: Services, key: str) -> SnapshotRow:
    return services.call("metadata.snapshot_remove", SnapshotRemove(key=key, snapshotter=OVERLAY), SnapshotRow)


def stat(services: Services, key: str, snapshotter: str = "") -> Info:
    return services.call("snapshots.stat", snapshots.Stat(key=key, snapshotter=snapshotter), Info)


def names(services: Services, *filters: str) -> list[str]:
    listing = services.call("snapshots.list", snapshots.List(filters=[*filters]), snapshots.Listing)
    return [snapshot.name for snapshot in listing.snapshots]


def layers(services: Services, count: int) -> list[int]:
    numbers = []
    for n in range(count):
        create(services, f"k{n}", f"l{n - 1}" if n else "")
        numbers.append(commit(services, f"l{n}", f"k{n}").number)
    return numbers


def test_prepare_and_commit_keep_the_number_and_not_the_labels(services: Services) -> None:
    made = create(services, "k", a="1")
    assert (made.info.kind, made.info.labels, made.parents, made.size) == (Kind.ACTIVE, {"a": "1"}, [], -1)
    done = commit(services, "n", "k", b="2")
    assert (done.number, done.size, done.inodes) == (made.number, 10, 2)
    assert (done.info.name, done.info.kind, done.info.labels) == ("n", Kind.COMMITTED, {"b": "2"})
    assert done.info.created_at_ns > made.info.created_at_ns
    with pytest.raises(NotFound):
        get(services, "k")
    assert stat(services, "n") == done.info
    assert services.topics() == ["/snapshot/prepare", "/snapshot/commit"]
    assert services.events() == [
        {"key": "k", "parent": "", "snapshotter": OVERLAY},
        {"key": "k", "name": "n", "snapshotter": OVERLAY},
    ]


def test_a_view_is_not_told(services: Services) -> None:
    layers(services, 1)
    view = create(services, "v", "l0", Kind.VIEW)
    assert view.info.kind is Kind.VIEW
    assert services.topics() == ["/snapshot/prepare", "/snapshot/commit"]


def test_ancestors_come_nearest_first_and_a_hundred_and_more_of_them(services: Services) -> None:
    numbers = layers(services, 128)
    top = create(services, "top", "l127")
    assert top.parents == numbers[::-1]
    assert get(services, "top") == top
    assert get(services, "l0").parents == []


def test_a_rebase_gives_a_parent_to_what_was_prepared_without_one(services: Services) -> None:
    (base,) = layers(services, 1)
    create(services, "k")
    done = commit(services, "n", "k", "l0")
    assert (done.info.parent, done.parents) == ("l0", [base])
    with pytest.raises(FailedPrecondition):
        remove(services, "l0")


def test_every_rule_of_creating(services: Services) -> None:
    layers(services, 1)
    create(services, "active")
    for key, parent, kind, error in (
        ("", "", Kind.ACTIVE, InvalidArgument),
        ("x", "", Kind.COMMITTED, InvalidArgument),
        ("active", "", Kind.ACTIVE, AlreadyExists),
        ("l0", "", Kind.VIEW, AlreadyExists),
        ("x", "missing", Kind.ACTIVE, NotFound),
        ("x", "active", Kind.VIEW, InvalidArgument),
    ):
        with pytest.raises(error):
            create(services, key, parent, kind)
    with pytest.raises(InvalidArgument):
        create(services, "x", k="v" * 4096)
    assert names(services) == ["active", "l0"]


def test_every_rule_of_committing(services: Services) -> None:
    layers(services, 1)
    create(services, "free")
    create(services, "based", "l0")
    create(services, "view", "l0", Kind.VIEW)
    for name, key, parent, error in (
        ("", "free", "", InvalidArgument),
        ("n", "", "", InvalidArgument),
        ("l0", "free", "", AlreadyExists),
        ("free", "free", "", AlreadyExists),
        ("n", "missing", "", NotFound),
        ("n", "view", "", FailedPrecondition),
        ("n", "l0", "", FailedPrecondition),
        ("n", "based", "l0", InvalidArgument),
        ("n", "free", "missing", NotFound),
        ("n", "free", "based", FailedPrecondition),
    ):
        with pytest.raises(error):
            commit(services, name, key, parent)
    assert names(services) == ["based", "free", "l0", "view"]


def test_a_commit_is_repeated_without_a_key_as_already_exists(services: Services) -> None:
    create(services, "k")
    commit(services, "n", "k")
    with pytest.raises(AlreadyExists):
        commit(services, "n", "k")


def test_remove_gives_the_number_and_refuses_what_has_children(services: Services) -> None:
    layers(services, 2)
    with pytest.raises(FailedPrecondition) as caught:
        remove(services, "l0")
    assert caught.value.details["children"] == ["l1"]
    number = get(services, "l1").number
    assert remove(services, "l1").number == number
    remove(services, "l0")
    assert names(services) == []
    with pytest.raises(NotFound):
        remove(services, "l0")
    assert services.topics()[-2:] == ["/snapshot/remove"] * 2
    assert services.events()[-1] == {"key": "l0", "snapshotter": OVERLAY}


def test_a_number_never_comes_twice_not_even_after_a_restart(directory: str) -> None:
    with open_services(directory) as services:
        first = create(services, "a").number
        remove(services, "a")
    with open_services(directory) as services:
        assert create(services, "a").number > first


def test_a_number_of_a_failed_turn_was_never_given(services: Services) -> None:
    services.handle("metadata.snapshot_create", SnapshotCreate(key="a", kind=Kind.ACTIVE, snapshotter=OVERLAY))
    services.store.connection.execute("ROLLBACK")
    services.store.events.rewind(0)
    assert create(services, "b").number == 1


def test_names_are_apart_for_each_namespace_and_snapshotter(services: Services) -> None:
    create(services, "k")
    create(services, "k", snapshotter="native")
    create(services, "k", namespace="other")
    assert names(services) == ["k"]
    assert stat(services, "k", "native").snapshotter == "native"
    with pytest.raises(NotFound):
        create(services, "x", "k", namespace="third")


def test_numbers_of_a_snapshotter_in_every_namespace(services: Services) -> None:
    one = create(services, "a").number
    other = create(services, "a", snapshotter="native").number
    two = create(services, "a", namespace="other").number
    gone = create(services, "gone").number
    remove(services, "gone")
    found = services.call("metadata.snapshot_numbers", SnapshotNumbers(snapshotter=OVERLAY), Numbers)
    assert found == Numbers(numbers=[one, two], highest=gone)
    assert other not in found.numbers


def test_numbers_of_an_empty_database(services: Services) -> None:
    found = services.call("metadata.snapshot_numbers", SnapshotNumbers(snapshotter=OVERLAY), Numbers)
    assert found == Numbers(numbers=[], highest=0)


@pytest.mark.parametrize("snapshotter", ["zfs", "../x", "x" * 100])
def test_an_unknown_snapshotter_is_refused_and_the_known_ones_named(services: Services, snapshotter: str) -> None:
    for call in (
        lambda: stat(services, "k", snapshotter),
        lambda: create(services, "k", snapshotter=snapshotter),
        lambda: services.call("snapshots.list", snapshots.List(snapshotter=snapshotter), snapshots.Listing),
    ):
        with pytest.raises(InvalidArgument, match="native, overlayfs"):
            call()


def test_update_changes_labels_and_the_time(services: Services) -> None:
    made = create(services, "k", a="1").info
    updated = services.call(
        "snapshots.update", snapshots.Update(key="k", labels={"x.y/z": "2"}, mask=["labels.x.y/z"]), Info
    )
    assert updated.labels == {"a": "1", "x.y/z": "2"}
    assert updated.created_at_ns == made.created_at_ns
    assert updated.updated_at_ns > made.updated_at_ns
    assert stat(services, "k") == updated
    replaced = services.call("snapshots.update", snapshots.Update(key="k", labels={"n": "1"}), Info)
    assert replaced.labels == {"n": "1"}
    for path in ("name", "parent", "kind"):
        with pytest.raises(InvalidArgument):
            services.call("snapshots.update", snapshots.Update(key="k", mask=[path]), Info)
    with pytest.raises(NotFound):
        services.call("snapshots.update", snapshots.Update(key="missing"), Info)


def test_lists_are_sorted_and_filtered(services: Services) -> None:
    layers(services, 2)
    create(services, "work", "l1", team="a")
    create(services, "view", "l1", Kind.VIEW)
    assert names(services) == ["l0", "l1", "view", "work"]
    assert names(services, "kind==committed") == ["l0", "l1"]
    assert names(services, "parent==l1") == ["view", "work"]
    assert names(services, "kind==active,labels.team==a") == ["work"]
    assert names(services, "parent") == ["l1", "view", "work"]
    assert names(services, "name~=^l") == ["l0", "l1"]
