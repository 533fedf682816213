"""Images from archives: what is there afterwards, and what is not after an error."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import wharfie
from linux import mount
from tests.support.archives import Layout, Tree, busybox_archive, busybox_tree, digest, docker_archive, tar
from tests.support.fork import in_private_mounts
from tests.support.wait import until
from tests.system.transfer.conftest import Rig
from wharfie.types.transfer import Progress

NAME = "busybox:latest"


def tree_of(rig: Rig, name: str, *, snapshotter: str = "") -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything in an unpacked image, as a container would see it."""
    chain = rig.client.images.unpack(name, snapshotter=snapshotter)
    key = f"look-{snapshotter}"
    mounts = rig.client.snapshots.view(key, chain, snapshotter=snapshotter)
    at = rig.directory / "merged"
    at.mkdir(exist_ok=True)
    found: dict[str, tuple[int, bytes]] = {}
    result = rig.directory / "result"

    def look() -> None:
        from wharfie.protocol import encode

        for one in mounts:
            flags = mount.MS_BIND | mount.MS_REC if one.type == "bind" else 0
            data = "" if one.type == "bind" else ",".join(one.options)
            mount.mount(one.source, str(at), fstype=one.type, flags=flags, data=data)
        seen = {}
        for directory, names, files in os.walk(at):
            for entry in (*names, *files):
                path = os.path.join(directory, entry)
                status = os.lstat(path)
                content = b""
                if stat.S_ISREG(status.st_mode):
                    content = Path(path).read_bytes()
                elif stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path).encode()
                seen[os.path.relpath(path, at)] = [status.st_mode, content]
        result.write_bytes(encode(seen))

    in_private_mounts(look)
    import msgspec

    found = {
        path: (mode, content)
        for path, (mode, content) in msgspec.msgpack.decode(
            result.read_bytes(), type=dict[str, tuple[int, bytes]]
        ).items()
    }
    rig.client.snapshots.remove(key, snapshotter=snapshotter)
    return found


def layered(*trees: Tree, **image: object) -> bytes:
    layout = Layout()
    layout.entry(layout.image([tar(tree) for tree in trees], **image), ref="x:1")  # type: ignore[arg-type]
    return layout.tar()


def test_an_imported_image_is_unpacked_whole(rig: Rig) -> None:
    (image,) = rig.client.images.import_(rig.archive(busybox_archive()))
    assert image.name == NAME
    tree = tree_of(rig, NAME)
    wanted = busybox_tree()
    assert set(tree) == set(wanted)
    for path, content in wanted.items():
        if content is not None:
            assert tree[path][1] == (content.encode() if isinstance(content, str) else content)


def test_labels_keep_what_the_image_needs(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(busybox_archive()))
    labels = {key: blob.labels[key] for blob in rig.client.content.list() for key in blob.labels}
    assert labels["containerd.io/gc.ref.snapshot.overlayfs"] == rig.client.images.unpack(NAME)
    assert labels["containerd.io/uncompressed"] == digest(tar(busybox_tree()))
    assert {"containerd.io/gc.ref.content.config", "containerd.io/gc.ref.content.l.0"} <= set(labels)


def test_layers_are_put_on_each_other_with_their_deletions(rig: Rig) -> None:
    data = layered(
        {"a": None, "a/one": b"1", "a/two": b"2", "gone": None, "gone/x": b"x", "opaque": None, "opaque/old": b"o"},
        {"a/.wh.two": b"", ".wh.gone": b"", "opaque": None, "opaque/.wh..wh..opq": b"", "opaque/new": b"n"},
        {"a/three": b"3"},
        {"a/.wh.one": b"", "gone": b"a file now"},
    )
    rig.client.images.import_(rig.archive(data))
    expected = {"a": b"", "a/three": b"3", "gone": b"a file now", "opaque": b"", "opaque/new": b"n"}
    trees = {}
    for snapshotter in ("overlayfs", "native"):
        trees[snapshotter] = tree_of(rig, "x:1", snapshotter=snapshotter)
        assert {path: content for path, (_, content) in trees[snapshotter].items()} == expected
    assert trees["overlayfs"] == trees["native"]


def test_a_directory_that_a_layer_only_implies_keeps_its_mode(rig: Rig) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, mode in (("tmp", 0o1777), ("tmp/deep", 0o750)):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid = tarfile.DIRTYPE, mode, 7
            out.addfile(info)
    layout = Layout()
    layers = [buffer.getvalue(), tar({"unrelated": b""}), tar({"tmp/deep/file": b"f"})]
    layout.entry(layout.image(layers), ref="x:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    for snapshotter in ("overlayfs", "native"):
        tree = tree_of(rig, "x:1", snapshotter=snapshotter)
        assert stat.S_IMODE(tree["tmp"][0]) == 0o1777
        assert stat.S_IMODE(tree["tmp/deep"][0]) == 0o750


def test_the_same_holds_when_the_layers_below_were_there_before(rig: Rig) -> None:
    below: list[dict[str, bytes | str | None]] = [{"d": None}, {"e": None}]
    lower = Layout()
    lower.entry(lower.image([tar(below[0], mode=0o711), tar(below[1], mode=0o701)]), ref="low:1")
    upper = Layout()
    layers = [tar(below[0], mode=0o711), tar(below[1], mode=0o701), tar({"d/x": b"", "e/x": b""})]
    upper.entry(upper.image(layers), ref="x:1")
    rig.client.images.import_(rig.archive(lower.tar()))
    rig.client.images.import_(rig.archive(upper.tar()))
    tree = tree_of(rig, "x:1")
    assert (stat.S_IMODE(tree["d"][0]), stat.S_IMODE(tree["e"][0])) == (0o711, 0o701)
    assert len(rig.snapshots()) == 3


def test_a_docker_archive_is_imported_with_its_linked_layers(rig: Rig) -> None:
    one, two = tar({"one": b"1"}), tar({"two": b"2"})
    layers: dict[str, bytes | str] = {"1/layer.tar": one, "2/layer.tar": two, "3/layer.tar": "../1/layer.tar"}
    data = docker_archive(layers, tags=["app", "app:2"], diff_ids=[digest(one), digest(two), digest(one)])
    images = rig.client.images.import_(rig.archive(data))
    assert [image.name for image in images] == ["app:latest", "app:2"]
    assert set(tree_of(rig, "app:latest")) == {"one", "two"}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_archive_is_imported(rig: Rig, pack: Callable[[bytes], bytes]) -> None:
    (image,) = rig.client.images.import_(rig.archive(pack(busybox_archive())))
    assert image.name == NAME


def test_a_stream_is_imported_and_its_ingest_is_gone(rig: Rig) -> None:
    rig.client.images.import_(io.BytesIO(busybox_archive()))
    assert rig.names() == [NAME]
    assert rig.client.content.statuses() == []


def test_a_fifo_is_imported(rig: Rig) -> None:
    path = str(rig.directory / "fifo")
    os.mkfifo(path)

    def write() -> None:
        with open(path, "wb") as fifo:
            fifo.write(busybox_archive())

    writer = threading.Thread(target=write)
    writer.start()
    rig.client.images.import_(path)
    writer.join()
    os.unlink(path)
    assert rig.names() == [NAME]


def test_importing_again_changes_nothing_but_the_name_and_keeps_labels(rig: Rig) -> None:
    path = rig.archive(busybox_archive())
    (first,) = rig.client.images.import_(path)
    labelled = wharfie.types.images.Image(name=NAME, target=first.target, labels={"mine": "1"})
    rig.client.images.update(labelled, mask=["labels.mine"])
    before = rig.snapshots(), rig.layer_directories()
    (second,) = rig.client.images.import_(path)
    assert second.labels == {"mine": "1"}
    assert second.target == first.target
    assert (rig.snapshots(), rig.layer_directories()) == before


def test_progress_tells_each_step_of_it(rig: Rig) -> None:
    seen: list[Progress] = []
    rig.client.images.import_(rig.archive(busybox_archive()), on_progress=seen.append)
    assert seen[0].event == "importing"
    assert {one.event for one in seen} == {"importing", "blob", "unpacking", "unpacked", "saved"}
    assert all(one.done <= one.total for one in seen if one.total)


def test_two_imports_at_once_unpack_each_layer_once(rig: Rig) -> None:
    data = layered(*({f"f{number}": bytes(100_000)} for number in range(4)))
    paths = [rig.archive(data) for _ in range(4)]
    threads = [threading.Thread(target=rig.client.images.import_, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rig.snapshots()) == 4
    until(lambda: len(rig.layer_directories()) == 4)


# --- what goes wrong ------------------------------------------------------------------------------------------


def nothing_half_done(rig: Rig) -> None:
    """No snapshot in the making, no job."""
    assert not [name for name in rig.snapshots() if not name.startswith("sha256:")]
    assert not rig.jobs()


def test_a_wrong_diff_id_is_refused_and_leaves_no_snapshot(rig: Rig) -> None:
    good = tar({"good": b""})
    layout = Layout()
    layout.entry(layout.image([good, tar({"x": b""})], diff_ids=[digest(good), digest(b"?")]), ref="x:1")
    with pytest.raises(wharfie.FailedPrecondition, match="diff id") as caught:
        rig.client.images.import_(rig.archive(layout.tar()))
    assert caught.value.details["reason"] == "diff_id"
    nothing_half_done(rig)
    assert digest(tar({"x": b""})) not in rig.snapshots()


def test_a_layer_that_is_cut_short_is_data_loss(rig: Rig) -> None:
    layer = tar({"x": os.urandom(200_000)})
    layout = Layout()
    cut = layout.blob(gzip.compress(layer)[:100_000], "application/vnd.oci.image.layer.v1.tar+gzip")
    config = layout.document(
        {"rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}, "application/vnd.oci.image.config.v1+json"
    )
    manifest = {"schemaVersion": 2, "config": config, "layers": [cut]}
    layout.entry(layout.document(manifest, "application/vnd.oci.image.manifest.v1+json"), ref="x:1")
    with pytest.raises(wharfie.DataLoss):
        rig.client.images.import_(rig.archive(layout.tar()))
    nothing_half_done(rig)


def test_a_blob_with_other_bytes_names_no_image(rig: Rig) -> None:
    data = layered({"x": os.urandom(5000)}, compress=False)
    at = data.index(b"x" + bytes(99)) + 600
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(wharfie.FailedPrecondition, match=r"digest|diff id"):
        rig.client.images.import_(rig.archive(broken))
    assert rig.names() == []
    assert rig.snapshots() == []


def test_a_layer_that_leads_outside_stays_inside(rig: Rig) -> None:
    outside = rig.directory / "outside"
    data = layered({"out": str(rig.directory), "out/outside": b"", "../../outside": b"", "/abs/olute": b""})
    try:
        rig.client.images.import_(rig.archive(data))
    except wharfie.InvalidArgument:
        nothing_half_done(rig)
    assert not outside.exists()


def test_an_import_that_is_given_up_ends_its_jobs_and_removes_its_snapshots(rig: Rig) -> None:
    rig.points.arm("transfer.job.unpack", "stop")
    with pytest.raises(wharfie.DeadlineExceeded):
        rig.client.images.import_(rig.archive(busybox_archive()), timeout_s=1.0)
    assert rig.points.was_hit("transfer.job.unpack")
    until(lambda: not rig.jobs())
    until(lambda: not rig.snapshots())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("no-such-file", wharfie.NotFound),
        ("/no/such/file", wharfie.NotFound),
        ("/etc", wharfie.InvalidArgument),
        ("/dev/zero", wharfie.InvalidArgument),
        ("/bin/busybox", wharfie.InvalidArgument),
    ],
)
def test_what_is_no_archive_is_refused(rig: Rig, path: str, kind: type[wharfie.WharfieError]) -> None:
    with pytest.raises(kind) as caught:
        rig.client.images.import_(path)
    assert caught.value.details["field"] == "path"


def test_an_unknown_snapshotter_is_refused(rig: Rig) -> None:
    with pytest.raises(wharfie.InvalidArgument):
        rig.client.images.import_(rig.archive(busybox_archive()), snapshotter="btrfs")
