"""`wharfie image …`, `export` and `import` against a real daemon."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from linux.mountinfo import read as mounts
from tests.support.archives import Layout, platform, tar
from tests.support.commandline import Shell
from tests.support.daemon import Daemon
from tests.support.wait import until


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="image-", dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture
def own(daemon: Daemon, archive: str) -> Iterator[Shell]:
    """A namespace with busybox of its own, empty again afterwards."""
    shell = Shell(str(daemon.address), "images")
    with wharfie.connect(str(daemon.address), namespace="images", timeout_s=30) as client:
        client.images.import_(archive)
        yield shell
        for container in client.containers.list():
            container.delete(force=True)
        for image in client.images.list():
            client.images.delete(image.name)
        for lease in client.leases.list():
            client.leases.delete(lease.id)
        client.gc.run()
        until(lambda: not client.content.list() and not client.snapshots.list())


def test_an_image_goes_out_into_a_file_and_a_pipe_and_comes_back(own: Shell, place: Path) -> None:
    own.ok("tag", "busybox", "mine:1")
    said = own.ok("save", "busybox", "mine:1", "-o", str(place / "both.tar"))
    assert said.startswith(f"{place}/both.tar ")
    piped = own.start("export", "busybox", "mine:1").communicate(timeout=40)[0]
    assert piped == (place / "both.tar").read_bytes()
    own.ok("rmi", "busybox", "mine:1")
    assert own.json("images") == []
    assert own.ok("load", str(place / "both.tar")).split()[::2] == ["busybox:latest", "mine:1"]
    assert own.ok("run", "--rm", "mine:1", "echo", "again") == "again\n"


def test_a_fifo_can_be_exported_to_and_an_export_that_fails_leaves_no_file(own: Shell, place: Path) -> None:
    os.mkfifo(place / "fifo")
    writer = own.start("export", "-o", str(place / "fifo"), "busybox")
    with open(place / "fifo", "rb") as file:
        data = file.read()
    assert writer.wait(40) == 0
    writer.communicate()
    assert b"oci-layout" in data
    done = own.run("export", "-o", str(place / "no.tar"), "--platform", "linux/s390x", "busybox", "no-such")
    assert done.code == 1
    assert "image 'no-such' not found" in done.err
    assert sorted(os.listdir(place)) == ["fifo"]


def test_a_directory_is_imported_with_names_by_digest(own: Shell, place: Path) -> None:
    layout = Layout()
    layout.entry(layout.image([tar({"etc": None, "etc/a": b"a"})]), ref="1.0")
    for name, data in {
        **layout.files,
        "index.json": json.dumps({"schemaVersion": 2, "manifests": layout.entries}),
    }.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data or b"")
    own.ok("import", "--base-name", "example.org/app", "--digests", "-l", "team=a", str(place))
    names = own.ok("images", "-q", "name~=app").split()
    digest = layout.entries[0]["digest"]
    assert names == ["example.org/app:1.0", f"example.org/app@{digest}"]
    assert own.json("images", "labels.team==a")[0]["platforms"]
    assert "error: directory is no OCI layout" in own.run("import", str(place / "blobs")).err


def test_images_are_listed_as_a_template_says(own: Shell) -> None:
    (row,) = own.json("images")
    assert own.ok("images", "--format", r"{{.Name}}\t{{.target.digest}} {{json .platforms}}") == (
        f"{row['name']}\t{row['target']['digest']} {json.dumps(row['platforms'])}\n"
    )
    assert "there is no field '.nothing'" in own.run("images", "--format", "{{.nothing}}").err


def test_an_image_is_inspected_in_both_ways(own: Shell) -> None:
    (native,) = own.json("image", "inspect", "busybox")
    assert native["platform"].startswith("linux/")
    assert native["variants"][0]["status"] == "complete"
    assert native["variants"][0]["is_unpacked"] is True
    (docker,) = own.json("image", "inspect", "--mode", "dockercompat", "busybox")
    assert docker["RepoTags"] == ["busybox:latest"]
    assert docker["RepoDigests"] == [f"busybox@{native['image']['target']['digest']}"]
    assert docker["RootFS"]["Layers"] == native["config"]["rootfs"]["diff_ids"]
    assert docker["Os"] == "linux"


def test_history_usage_and_check_tell_of_an_image(own: Shell) -> None:
    assert own.ok("history", "busybox").splitlines()[0].split() == [
        "SNAPSHOT",
        "CREATED",
        "CREATED",
        "BY",
        "SIZE",
        "COMMENT",
    ]
    (step,) = own.json("image", "history", "busybox")
    assert step["layer"]["digest"] in own.ok("history", "-q", "busybox")
    assert step["size"] > step["layer"]["size"]
    (used,) = own.json("image", "usage", "busybox")
    assert used["snapshots"] == step["size"]
    assert own.ok("image", "usage").splitlines()[-1].startswith("(together)")
    (checked,) = own.json("image", "check", "busybox")
    assert checked["variants"][0]["status"] == "complete"
    assert checked["variants"][0]["chain_ids"] == [step["chain_id"]]
    assert own.ok("image", "check", "-q") == "busybox:latest\n"
    own.ok("content", "rm", step["layer"]["digest"])
    done = own.run("image", "check", "busybox")
    assert done.code == 1
    assert "incomplete" in done.out
    assert (
        f"blob '{step['layer']['digest']}' of image 'busybox:latest' is not in the content store"
        in own.run("export", "-o", "/dev/null", "busybox").err
    )


def test_an_image_is_mounted_and_unmounted(own: Shell, place: Path) -> None:
    own.ok("image", "mount", "busybox", str(place))
    assert (place / "bin/busybox").exists()
    with pytest.raises(OSError, match="Read-only file system"):
        (place / "new").write_text("x")
    assert own.run("image", "mount", "busybox", str(place)).code == 1
    # Nothing but its label keeps it.
    own.ok("rmi", "busybox")
    assert (place / "bin/busybox").exists()
    assert str(place) in own.ok("snapshot", "ls", "-q")
    assert own.ok("image", "unmount", str(place)) == f"{place}\n"
    assert not any(entry.mountpoint == str(place) for entry in mounts())
    assert str(place) not in own.ok("snapshot", "ls", "-q")
    assert "no image is mounted at" in own.run("image", "unmount", str(place)).err


def test_what_is_written_to_a_writable_mount_can_be_kept(own: Shell, place: Path) -> None:
    own.ok("image", "mount", "--rw", "--expires", "1h", "busybox", str(place))
    (place / "new").write_text("x")
    own.ok("image", "unmount", "--keep", str(place))
    assert not (place / "new").exists()
    own.ok("snapshot", "commit", "kept", str(place))
    own.ok("snapshot", "rm", "kept")


def test_an_image_that_a_container_uses_goes_only_by_force(own: Shell) -> None:
    own.ok("container", "create", "--name", "user", "busybox", "true")
    done = own.run("rmi", "busybox")
    assert (done.code, done.out) == (1, "")
    assert "is used by container user" in done.err
    assert own.ok("image", "prune", "--all").splitlines()[-1].startswith("0 images removed")
    done = own.run("rmi", "-f", "busybox")
    assert (done.code, done.out) == (0, "busybox:latest\n")
    assert "warning: image 'busybox:latest' is still used by container user" in done.err
    assert own.ok("start", "user") == "user\n"


def test_prune_removes_what_nothing_uses(own: Shell) -> None:
    own.ok("tag", "busybox", "pinned:1", "other:1")
    own.ok("image", "label", "pinned:1", "io.cri-containerd.pinned=pinned")
    assert own.json("image", "prune", "--dry-run")["images"] == []
    assert own.json("image", "prune", "--all", "name==other:1")["images"] == ["other:1"]
    assert own.json("image", "prune", "--all")["images"] == ["busybox:latest"]
    assert own.ok("images", "-q") == "pinned:1\n"
    assert own.ok("run", "--rm", "pinned:1", "echo", "kept") == "kept\n"


def test_an_image_is_converted_and_runs(own: Shell) -> None:
    own.ok("image", "convert", "--zstd", "--oci", "busybox", "busybox:zstd")
    (made,) = own.json("image", "inspect", "busybox:zstd")
    assert made["manifest"]["layers"][0]["media_type"].endswith("tar+zstd")
    assert own.ok("run", "--rm", "busybox:zstd", "echo", "small") == "small\n"


def test_another_platform_is_imported_shown_and_asked_for(own: Shell, place: Path) -> None:
    layout = Layout()
    other = layout.image([tar({"f": b"other"})], architecture="s390x")
    layout.entry(layout.index(platform(other, "linux/s390x")), ref="other:1")
    (place / "a.tar").write_bytes(layout.tar())
    assert own.run("import", str(place / "a.tar")).code == 1
    own.ok("import", "--platform", "linux/s390x", str(place / "a.tar"))
    (row,) = own.json("images", "name==other:1")
    assert (row["platform"], row["platforms"]) == ("linux/s390x", ["linux/s390x"])
    assert own.json("inspect", "other:1")[0]["platform"] == "linux/s390x"
    assert "has no manifest for platform" in own.run("run", "--rm", "other:1", "true").err
    own.ok("container", "create", "--platform", "linux/s390x", "--name", "foreign", "other:1", "true")
    assert own.run("export", "-o", str(place / "b.tar"), "other:1").code == 1
    own.ok("export", "--platform", "linux/s390x", "-o", str(place / "b.tar"), "other:1")
