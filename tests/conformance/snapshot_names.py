"""The cases of a snapshotter that are about names, kinds, parents, labels and usage."""

from __future__ import annotations

import os

import pytest

from tests.conformance.snapshotter import Snapshotter, put, tree, write
from wharfie import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wharfie.types.snapshots import Kind


def basic(sn: Snapshotter) -> None:
    with sn.seen(sn.prepare("work")) as root:
        assert tree(root) == {}
        write(f"{root}/foo", "foo\n")
        write(f"{root}/a/b/c", "abc\n")
        os.makedirs(f"{root}/x/y")
    assert sn.usage("work").inodes == 7
    sn.commit("first", "work")
    assert sn.stat("first").parent == ""
    assert sn.stat("first").kind is Kind.COMMITTED
    with pytest.raises(NotFound):
        sn.stat("work")
    mounts = sn.prepare("next", "first")
    with pytest.raises(AlreadyExists):
        sn.prepare("next", "first")
    with sn.seen(mounts) as root:
        assert tree(root) == {"foo": "foo\n", "a/": "", "a/b/": "", "a/b/c": "abc\n", "x/": "", "x/y/": ""}
        write(f"{root}/bar", "bar\n")
        os.unlink(f"{root}/a/b/c")
        write(f"{root}/foo", "changed\n")
    info = sn.stat("next")
    assert (info.kind, info.parent, info.name, info.snapshotter) == (Kind.ACTIVE, "first", "next", sn.name)
    sn.commit("second", "next")
    assert sn.stat("second").parent == "first"
    assert sn.files("second") == {"foo": "changed\n", "bar": "bar\n", "a/": "", "a/b/": "", "x/": "", "x/y/": ""}
    assert sn.files("first")["foo"] == "foo\n"
    with pytest.raises(FailedPrecondition):
        sn.remove("first")
    sn.remove("second")
    sn.remove("first")
    assert sn.names() == []


def stat_of_an_active_snapshot(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"f": "f"}))
    sn.prepare("active", "base", {"a": "b"})
    info = sn.stat("active")
    assert (info.name, info.parent, info.kind, info.labels) == ("active", "base", Kind.ACTIVE, {"a": "b"})
    sn.view("look", "base")
    assert (sn.stat("look").kind, sn.stat("look").parent) == (Kind.VIEW, "base")
    with pytest.raises(NotFound):
        sn.stat("nobody")


def stat_of_a_committed_snapshot(sn: Snapshotter) -> None:
    sn.prepare("active", labels={"is": "not inherited"})
    sn.commit("done", "active", labels={"a": "b"})
    info = sn.stat("done")
    assert (info.name, info.parent, info.kind, info.labels) == ("done", "", Kind.COMMITTED, {"a": "b"})


def parents_of_a_chain(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"1": "1"}))
    sn.layer("two", "one", put({"2": "2"}))
    sn.layer("three", "two", put({"3": "3"}))
    assert [sn.stat(name).parent for name in ("one", "two", "three")] == ["", "one", "two"]
    assert sn.files("three") == {"1": "1", "2": "2", "3": "3"}


def prepare_and_view_refuse_what_cannot_be(sn: Snapshotter) -> None:
    for create in (sn.prepare, sn.view):
        with pytest.raises(NotFound):
            create("key", "nobody")
        with pytest.raises(InvalidArgument):
            create("")
    sn.prepare("active")
    for create in (sn.prepare, sn.view):
        with pytest.raises(InvalidArgument):
            create("key", "active")
        with pytest.raises(AlreadyExists):
            create("active")
    assert sn.names() == ["active"]
    with pytest.raises(NotFound):
        sn.mounts("key")
    sn.commit("committed", "active")
    with pytest.raises(FailedPrecondition):
        sn.mounts("committed")
    with pytest.raises(AlreadyExists):
        sn.prepare("committed")


def mounts_are_those_of_prepare_and_view(sn: Snapshotter) -> None:
    sn.layer("one", "", put({"1": "1"}))
    sn.layer("two", "one", put({"2": "2"}))
    for parent in ("", "one", "two"):
        assert sn.prepare(f"active-{parent}", parent) == sn.mounts(f"active-{parent}")
        assert sn.view(f"view-{parent}", parent) == sn.mounts(f"view-{parent}")


def commit_refuses_what_cannot_be(sn: Snapshotter) -> None:
    with pytest.raises(NotFound):
        sn.commit("name", "nobody")
    sn.prepare("a")
    sn.commit("done", "a")
    sn.prepare("b")
    with pytest.raises(AlreadyExists):
        sn.commit("done", "b")
    with pytest.raises(FailedPrecondition):
        sn.commit("again", "done")
    sn.view("look", "done")
    with pytest.raises(FailedPrecondition):
        sn.commit("again", "look")
    assert sn.names("kind==committed") == ["done"]


def update_of_labels(sn: Snapshotter) -> None:
    sn.prepare("s", labels={"keep": "1", "change": "1", "drop": "1"})
    before = sn.stat("s")
    update = sn.client.snapshots.update
    update("s", {"change": "2", "drop": ""}, mask=["labels.change", "labels.drop"], snapshotter=sn.name)
    after = sn.stat("s")
    assert after.labels == {"keep": "1", "change": "2"}
    assert after.created_at_ns == before.created_at_ns
    assert after.updated_at_ns > before.updated_at_ns
    assert (after.name, after.parent, after.kind) == (before.name, before.parent, before.kind)
    update("s", {"only": "this"}, mask=["labels"], snapshotter=sn.name)
    assert sn.stat("s").labels == {"only": "this"}
    for path in ("name", "parent", "kind", "created_at_ns", "nonsense"):
        with pytest.raises(InvalidArgument):
            update("s", {}, mask=[path], snapshotter=sn.name)
    with pytest.raises(NotFound):
        update("nobody", {}, snapshotter=sn.name)


def remove_frees_the_key(sn: Snapshotter) -> None:
    with sn.seen(sn.prepare("key")) as root:
        write(f"{root}/file", "old")
    sn.remove("key")
    with pytest.raises(NotFound):
        sn.remove("key")
    with pytest.raises(NotFound):
        sn.mounts("key")
    with sn.seen(sn.prepare("key")) as root:
        assert tree(root) == {}


def remove_of_a_parent_is_refused(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"f": "f"}))
    sn.layer("middle", "base", put({"m": "m"}))
    sn.prepare("top", "middle")
    for parent in ("base", "middle"):
        with pytest.raises(FailedPrecondition):
            sn.remove(parent)
    sn.remove("top")
    sn.remove("middle")
    sn.remove("base")


def list_with_filters(sn: Snapshotter) -> None:
    sn.prepare("base-active", labels={"x": "1"})
    sn.commit("base", "base-active", labels={"l": "a"})
    sn.prepare("active", "base", {"l": "a"})
    sn.prepare("other", "base", {"l": "b"})
    sn.view("look", "base")
    assert sn.names() == ["active", "base", "look", "other"]
    assert sn.names("name==active") == ["active"]
    assert sn.names("kind==active") == ["active", "other"]
    assert sn.names("kind==view") == ["look"]
    assert sn.names("kind==committed") == ["base"]
    assert sn.names("parent==base,kind!=view") == ["active", "other"]
    assert sn.names("labels.l==a") == ["active", "base"]
    assert sn.names("labels.l==b", "kind==view") == ["look", "other"]
    assert sn.names("labels.none") == []
    with pytest.raises(InvalidArgument):
        sn.names("name==")


def stat_while_listing(sn: Snapshotter) -> None:
    for number in range(5):
        sn.prepare(f"s{number}")
    for info in sn.client.snapshots.list(snapshotter=sn.name):
        assert sn.stat(info.name) == info


def usage_is_measured_and_then_recorded(sn: Snapshotter) -> None:
    with sn.seen(sn.prepare("active")) as root:
        empty = sn.usage("active")
        with open(f"{root}/file", "wb") as file:
            file.write(os.urandom(1 << 20))
        os.link(f"{root}/file", f"{root}/link")
        with open(f"{root}/sparse", "wb") as sparse:
            sparse.truncate(1 << 40)
        grown = sn.usage("active")
    # A file with two names counts once, a hole not at all.
    assert grown.inodes == empty.inodes + 2
    assert 1 << 20 <= grown.size - empty.size < 2 << 20
    sn.commit("done", "active")
    done = sn.usage("done")
    assert done == grown if sn.keeps_files else (done.inodes == grown.inodes and done.size >= 1 << 20)
    with pytest.raises(NotFound):
        sn.usage("nobody")


def an_unknown_snapshotter_is_refused(sn: Snapshotter) -> None:
    for call in (sn.client.snapshots.prepare, sn.client.snapshots.mounts, sn.client.snapshots.remove):
        with pytest.raises(InvalidArgument):
            call("key", snapshotter="nonsense")
    with pytest.raises(InvalidArgument):
        sn.client.snapshots.cleanup(snapshotter="nonsense")


def cleanup_of_a_tidy_directory_removes_nothing(sn: Snapshotter) -> None:
    sn.layer("base", "", put({"f": "f"}))
    sn.prepare("active", "base")
    sn.client.snapshots.cleanup(snapshotter=sn.name)
    assert sn.client.snapshots.cleanup(snapshotter=sn.name) == 0
    assert sn.files("base") == {"f": "f"}
    with sn.seen(sn.mounts("active")) as root:
        assert tree(root) == {"f": "f"}


SUITE = (
    basic,
    stat_of_an_active_snapshot,
    stat_of_a_committed_snapshot,
    parents_of_a_chain,
    prepare_and_view_refuse_what_cannot_be,
    mounts_are_those_of_prepare_and_view,
    commit_refuses_what_cannot_be,
    update_of_labels,
    remove_frees_the_key,
    remove_of_a_parent_is_refused,
    list_with_filters,
    stat_while_listing,
    usage_is_measured_and_then_recorded,
    an_unknown_snapshotter_is_refused,
    cleanup_of_a_tidy_directory_removes_nothing,
)
"""What every snapshotter does."""
