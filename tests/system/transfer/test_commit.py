"""Images made of containers: what they hold, that the same files make the same image, that others understand them."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.support import busybox, changedfiles, layoutdir, trees
from tests.support.changedfiles import change_everything
from tests.support.wait import until
from tests.system.transfer.conftest import Rig
from wharfie.types.containers import Container as Record

BASE = "busybox:latest"


@pytest.fixture
def base(rig: Rig) -> str:
    rig.client.images.import_(busybox.archive(f"{rig.directory}/busybox.tar"))
    return BASE


@pytest.fixture
def container(rig: Rig, base: str) -> Iterator[wharfie.Container]:
    made = rig.client.containers.create(base, ["sh", "-c", "echo new > /etc/new"], id="box")
    yield made
    made.delete(force=True)


def mounted(rig: Rig, key: str, *options: str, snapshotter: str = "") -> contextlib.AbstractContextManager[str]:
    """A snapshot's files, at a directory of the test; mounted with more options."""
    return changedfiles.mounted(rig.client, key, f"{rig.directory}/mounted", *options, snapshotter=snapshotter)


def leases(rig: Rig) -> list[str]:
    """The leases of operations: not the namespace's own."""
    return [lease.id for lease in rig.client.leases.list() if not lease.id.startswith("default-")]


def test_a_commit_holds_what_the_container_wrote_and_runs(rig: Rig, container: wharfie.Container) -> None:
    container.start().wait(timeout_s=30)
    assert [(change.kind.value, change.path) for change in container.diff()] == [("C", "/etc"), ("A", "/etc/new")]
    done = container.commit("mine:1", message="first", author="me")
    assert done.image == rig.client.images.get("mine:1")
    ran = rig.client.run("mine:1", ["cat", "/etc/new"], timeout_s=60)
    assert (ran.exit_code, ran.stdout) == (0, b"new\n")
    assert len(rig.client.images.manifest("mine:1").layers) == 2
    assert rig.client.content.info(done.layer.digest).labels["containerd.io/uncompressed"] == done.diff_id
    assert leases(rig) == []


def test_a_running_container_can_be_committed(rig: Rig, base: str) -> None:
    container = rig.client.containers.create(base, ["sh", "-c", "echo x > /tmp/x; sleep 600"], id="runs")
    try:
        task = container.start()
        container.exec(["sh", "-c", "while ! test -e /tmp/x; do sleep 0.01; done"])
        container.commit("mine:1")
        assert task.state().status == "running"
        assert rig.client.run("mine:1", ["cat", "/tmp/x"], timeout_s=60).stdout == b"x\n"
    finally:
        container.delete(force=True)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_the_same_files_make_the_same_image(rig: Rig, container: wharfie.Container, compression: str) -> None:
    with mounted(rig, "box") as root:
        change_everything(root)
    first = container.commit("a:1", compression=compression, source_date_epoch=1_600_000_000, message="m")
    second = container.commit("b:1", compression=compression, source_date_epoch=1_600_000_000, message="m")
    assert first.image.target == second.image.target
    assert rig.client.content.info(first.layer.digest).size == first.layer.size


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_umoci_unpacks_a_commit_to_the_very_files_of_the_container(
    rig: Rig, container: wharfie.Container, compression: str
) -> None:
    with mounted(rig, "box") as root:
        change_everything(root)
        expected = trees.described(root)
    container.commit("mine:1", compression=compression)
    layout = rig.directory / "layout"
    layoutdir.write(rig.client, "mine:1", layout)
    try:
        found = trees.described(layoutdir.unpacked_by_umoci(layout, rig.directory / "bundle"))
    finally:
        shutil.rmtree(layout)
    shutil.rmtree(rig.directory / "bundle")
    assert found.keys() == expected.keys()
    for path, facts in expected.items():
        assert found[path] == facts, path


@pytest.mark.parametrize(
    ("target", "compression"),
    # Docker's own format has no zstd.
    [("dir", "gzip"), ("docker-archive", "gzip"), ("oci", "gzip"), ("dir", "zstd"), ("oci", "zstd")],
)
def test_skopeo_copies_a_commit(rig: Rig, container: wharfie.Container, target: str, compression: str) -> None:
    container.start().wait(timeout_s=30)
    done = container.commit("mine:1", changes=['CMD ["cat", "/etc/new"]'], compression=compression)
    layout, copy = rig.directory / "layout", rig.directory / "copy"
    layoutdir.write(rig.client, "mine:1", layout)
    try:
        name = ":mine:2" if target == "docker-archive" else ":it" if target == "oci" else ""
        layoutdir.copied_by_skopeo(layout, f"{target}:{copy}{name}")
        if target == "docker-archive":
            (again,) = rig.client.images.import_(str(copy))
            assert rig.client.run(again.name, timeout_s=60).stdout == b"new\n"
        elif target == "oci":
            assert (copy / "blobs" / done.layer.digest.replace(":", "/")).exists()
        else:
            assert (copy / done.layer.digest.partition(":")[2]).exists()
    finally:
        shutil.rmtree(layout)
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()


def test_instructions_change_the_configuration_and_the_history_tells_of_it(
    rig: Rig, container: wharfie.Container
) -> None:
    changes = [
        'CMD ["echo", "hi"]',
        "ENV A=1 B='two words'",
        "EXPOSE 80 53/udp",
        "LABEL owner=me",
        "USER 1000:1000",
        "VOLUME /data",
        "WORKDIR /tmp",
    ]
    container.commit("mine:1", author="me <me@here>", message="why", changes=changes, source_date_epoch=1)
    layout = rig.directory / "layout"
    layoutdir.write(rig.client, "mine:1", layout)
    try:
        config = layoutdir.inspected_by_skopeo(layout)
    finally:
        shutil.rmtree(layout)
    assert config["config"] == {
        "User": "1000:1000",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Env": ["PATH=/bin", "A=1", "B=two words"],
        "Cmd": ["echo", "hi"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/tmp",
        "Labels": {"owner": "me"},
    }
    assert (config["created"], config["author"]) == ("1970-01-01T00:00:01Z", "me <me@here>")
    history = config["history"]
    assert isinstance(history, list)
    assert history[-1] == {
        "created": "1970-01-01T00:00:01Z",
        "created_by": "sh -c echo new > /etc/new",
        "author": "me <me@here>",
        "comment": "why",
    }
    assert len(history) == 2
    assert rig.client.run("mine:1", timeout_s=60).stdout == b"hi\n"


def test_a_commit_of_a_commit_has_three_layers(rig: Rig, container: wharfie.Container) -> None:
    container.start().wait(timeout_s=30)
    container.commit("mine:1")
    second = rig.client.containers.create("mine:1", ["sh", "-c", "rm /etc/new; echo 2 > /etc/two"], id="second")
    try:
        second.start().wait(timeout_s=30)
        assert [(change.kind.value, change.path) for change in second.diff()] == [
            ("C", "/etc"),
            ("D", "/etc/new"),
            ("A", "/etc/two"),
        ]
        second.commit("mine:1")
    finally:
        second.delete(force=True)
    assert len(rig.client.images.manifest("mine:1").layers) == 3
    done = rig.client.run("mine:1", ["sh", "-c", "cat /etc/two; test -e /etc/new"], timeout_s=60)
    assert (done.exit_code, done.stdout) == (1, b"2\n")


def test_what_a_commit_makes_is_held_by_the_callers_lease(rig: Rig, container: wharfie.Container) -> None:
    client = rig.client
    client.leases.create("mine")
    done = client.with_lease("mine").images.commit(container.id, "mine:1")
    held = {resource.id for resource in client.leases.resources("mine")}
    assert {done.layer.digest, done.image.target.digest, client.images.manifest("mine:1").config.digest} <= held
    assert leases(rig) == ["mine"]
    with pytest.raises(wharfie.NotFound, match="nobodys"):
        client.with_lease("nobodys").images.commit(container.id, "mine:1")
    client.leases.delete("mine")


def test_a_container_that_was_made_without_an_image_becomes_one(rig: Rig, container: wharfie.Container) -> None:
    client = rig.client
    client.snapshots.prepare("bare")
    with mounted(rig, "bare") as root:
        trees.grow(root, {"hello": b"there"})
    bare = client.containers.create_record(
        Record(id="bare", snapshotter="overlayfs", snapshot_key="bare", spec=container.record.spec)
    )
    try:
        done = bare.commit("bare:1", changes=["CMD x"])
    finally:
        bare.delete()
    (layer,) = client.images.manifest("bare:1").layers
    assert layer.digest == done.layer.digest
    config = client.images.config("bare:1")
    assert (config.os, config.config and config.config.cmd) == ("linux", ("/bin/sh", "-c", "x"))
    assert client.images.unpack("bare:1") == done.diff_id


def test_a_container_on_a_snapshot_of_an_image_that_it_does_not_name_is_refused(
    rig: Rig, container: wharfie.Container
) -> None:
    client = rig.client
    client.snapshots.prepare("own", client.images.unpack(BASE))
    own = client.containers.create_record(
        Record(id="own", snapshotter="overlayfs", snapshot_key="own", spec=container.record.spec)
    )
    try:
        with pytest.raises(wharfie.FailedPrecondition, match="'own' names no image"):
            own.commit("mine:1")
    finally:
        own.delete()


def test_other_snapshotters_make_the_same_layer(rig: Rig, base: str) -> None:
    made = {}
    for snapshotter in rig.snapshotters():
        container = rig.client.containers.create(base, ["true"], id=f"on-{snapshotter}", snapshotter=snapshotter)
        try:
            with mounted(rig, container.id, snapshotter=snapshotter) as root:
                trees.grow(f"{root}/srv", {"a/b": b"x", "c": "a"})
                os.unlink(f"{root}/etc/group")
                for name in ("etc", "srv"):
                    os.utime(f"{root}/{name}", ns=(0, 10**18))
            made[snapshotter] = container.commit(f"{snapshotter}:1").layer
        finally:
            container.delete(force=True)
    assert {"overlayfs", "native"} <= made.keys()
    assert len({layer.digest for layer in made.values()}) == 1


def test_what_cannot_be_committed_is_refused_and_leaves_nothing(rig: Rig, container: wharfie.Container) -> None:
    client = rig.client
    before = (len(client.content.list()), rig.snapshots())
    for arguments, error, words in (
        ({"changes": ["RUN rm -rf /"]}, wharfie.InvalidArgument, "RUN"),
        ({"changes": ["EXPOSE 99999"]}, wharfie.InvalidArgument, "PORT"),
        ({"compression": "bzip2"}, wharfie.InvalidArgument, "bzip2"),
        ({"source_date_epoch": -1}, wharfie.InvalidArgument, "source_date_epoch"),
        ({"source_date_epoch": 10**12}, wharfie.InvalidArgument, "9999"),
    ):
        with pytest.raises(error, match=words):
            container.commit("mine:1", **arguments)
    with pytest.raises(wharfie.InvalidArgument, match="name"):
        container.commit("")
    with pytest.raises(wharfie.NotFound, match="nobody"):
        client.images.commit("nobody", "mine:1")
    with mounted(rig, "box") as root:
        Path(f"{root}/.wh.x").write_bytes(b"")
    with pytest.raises(wharfie.FailedPrecondition, match="mean deletions there"):
        container.commit("mine:1")
    assert (len(client.content.list()), rig.snapshots(), rig.names()) == (*before, [BASE])
    assert leases(rig) == []


def test_a_commit_that_is_given_up_ends_its_job_and_leaves_nothing(rig: Rig, container: wharfie.Container) -> None:
    client = rig.client
    native = client.containers.create(BASE, ["true"], id="copied", snapshotter="native")
    try:
        for one in (container, native):
            for timeout_s in (0.5, 2.0, 8.0, 32.0):  # on a loaded machine the job may begin late
                rig.points.arm("transfer.job.diff", "stop")
                with pytest.raises(wharfie.DeadlineExceeded):
                    one.commit("mine:1", timeout_s=timeout_s)
                if rig.points.was_hit("transfer.job.diff"):
                    break
            assert rig.points.was_hit("transfer.job.diff")
            until(lambda: not rig.jobs(), deadline_s=30)
            until(lambda: not leases(rig), deadline_s=30)
            for snapshotter in ("overlayfs", "native"):
                until(lambda: not [key for key in rig.snapshots(snapshotter) if key.startswith("unpack-")])  # noqa: B023
    finally:
        native.delete()
    assert rig.names() == [BASE]


def test_a_container_whose_image_has_another_content_now_is_refused(rig: Rig, container: wharfie.Container) -> None:
    container.commit("other:1")
    rig.client.images.tag("other:1", BASE)
    with pytest.raises(wharfie.FailedPrecondition, match=f"'{BASE}' is not the one that container 'box' was made from"):
        container.commit("mine:1")
    rig.client.images.delete(BASE)
    with pytest.raises(wharfie.NotFound, match="give its content that name again"):
        container.commit("mine:1")


@pytest.mark.parametrize("option", ["redirect_dir=on", "metacopy=on"])
def test_what_overlayfs_only_points_to_is_committed_whole(rig: Rig, container: wharfie.Container, option: str) -> None:
    """As with kernels whose overlayfs moves directories, or copies attributes alone, by itself."""
    with mounted(rig, "box", option) as root:
        os.rename(f"{root}/etc", f"{root}/moved")
        os.chmod(f"{root}/bin/busybox", 0o711)
        expected = trees.described(root)
    made = container.commit("mine:1")
    assert [change.path for change in container.diff() if change.kind == "D"] == ["/etc"]
    applied = rig.client.images.unpack("mine:1")
    rig.client.snapshots.view("look", applied)
    with mounted(rig, "look") as root:
        found = trees.described(root)
    assert found == expected
    assert made.layer.size > 1000
