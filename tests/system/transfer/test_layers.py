"""Layers that only make sense on top of others, layers of lazy pullers, and layers made to do harm."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

import wharfie
from tests.support import lazylayers, tars
from tests.support.archives import Layout, digest
from tests.support.daemon import Daemon
from tests.support.tars import directory, file, hardlink, symlink
from tests.system.transfer.conftest import Rig
from tests.system.transfer.test_import import nothing_half_done, tree_of
from tests.unit.actors.transfer.unpack.test_breakouts import CASES, fingerprint, placed
from wharfie.oci import descriptor as oci


@pytest.fixture(params=["overlayfs", "native", "erofs"])
def snapshotter(rig: Rig, request: pytest.FixtureRequest) -> str:
    """Each of those that work here."""
    name = str(request.param)
    if name not in rig.snapshotters():
        pytest.skip(f"snapshotter '{name}' does not work in this kernel")
    return name


def image(*layers: Iterable[tars.Member]) -> bytes:
    """An archive of an image with these layers."""
    layout = Layout()
    layout.entry(layout.image([tars.tar(layer) for layer in layers]), ref="x:1")
    return layout.tar()


def contents(rig: Rig, snapshotter: str) -> dict[str, bytes]:
    """Every file of `x:1` with its content, every link with where it leads."""
    return {path: content for path, (_, content) in tree_of(rig, "x:1", snapshotter=snapshotter).items() if content}


BELOW = [
    directory("usr/bin", mode=0o711),
    directory("opt/real", mode=0o700),
    file("usr/bin/old", b"old"),
    file("usr/bin/kept", b"kept"),
    symlink("bin", "usr/bin"),
    symlink("abs", "/opt/real"),
    symlink("out", "../../../../opt/real"),
]


def test_a_file_below_a_link_of_a_lower_layer_is_where_the_link_leads(rig: Rig, snapshotter: str) -> None:
    above = [
        file("bin/tool", b"tool"),
        file("bin/.wh.old"),
        file("abs/deep/file", b"deep"),
        file("out/file", b"out"),
        file("usr/bin/direct", b"direct"),
    ]
    third = [file("bin/third", b"third"), file("bin/.wh.direct")]
    rig.client.images.import_(rig.archive(image(BELOW, above, [file("etc/x", b"x")], third)), snapshotter=snapshotter)
    assert contents(rig, snapshotter) == {
        "bin": b"usr/bin",
        "abs": b"/opt/real",
        "out": b"../../../../opt/real",
        "usr/bin/kept": b"kept",
        "usr/bin/tool": b"tool",
        "usr/bin/third": b"third",
        "opt/real/deep/file": b"deep",
        "opt/real/file": b"out",
        "etc/x": b"x",
    }
    nothing_half_done(rig)


def test_the_same_holds_when_the_link_was_unpacked_before(rig: Rig) -> None:
    low = Layout()
    low.entry(low.image([tars.tar(BELOW)]), ref="low:1")
    rig.client.images.import_(rig.archive(low.tar()))
    rig.client.images.import_(rig.archive(image(BELOW, [file("bin/tool", b"tool")])))
    assert contents(rig, "overlayfs")["usr/bin/tool"] == b"tool"


def test_a_directory_that_a_layer_describes_takes_the_place_of_a_link(rig: Rig) -> None:
    rig.client.images.import_(rig.archive(image(BELOW, [directory("bin"), file("bin/tool", b"tool")])))
    found = {name: contents(rig, name) for name in ("overlayfs", "native")}
    assert found["overlayfs"] == found["native"]
    assert found["overlayfs"]["bin/tool"] == b"tool"
    assert "usr/bin/tool" not in found["overlayfs"]


def test_a_hard_link_may_lead_to_a_file_of_a_lower_layer(rig: Rig, snapshotter: str) -> None:
    above = [hardlink("name", "usr/bin/kept"), file(".wh.abs"), file("usr/bin/.wh..wh..opq"), file("usr/bin/n", b"n")]
    rig.client.images.import_(rig.archive(image(BELOW, above)), snapshotter=snapshotter)
    found = contents(rig, snapshotter)
    assert found == {"name": b"kept", "bin": b"usr/bin", "out": b"../../../../opt/real", "usr/bin/n": b"n"}


def test_a_hard_link_to_what_no_layer_has_is_refused(rig: Rig) -> None:
    with pytest.raises(wharfie.InvalidArgument, match="'usr/bin/nothing', which is no file of it"):
        rig.client.images.import_(rig.archive(image(BELOW, [hardlink("name", "usr/bin/nothing")])))
    nothing_half_done(rig)


@pytest.mark.parametrize(
    ("make", "media_type"),
    [
        (lazylayers.estargz, oci.MEDIA_TYPE_LAYER_GZIP),
        (lazylayers.zstd_chunked, oci.MEDIA_TYPE_LAYER_ZSTD),
    ],
)
def test_layers_of_lazy_pullers_are_the_archives_that_they_are(rig: Rig, make: object, media_type: str) -> None:
    files = {"a": os.urandom(100_000), "b": b"b", "c": b""}
    blob, plain = make(files)  # type: ignore[operator]
    layout = Layout()
    layer = layout.blob(blob, media_type)
    rootfs = {"rootfs": {"type": "layers", "diff_ids": [digest(plain)]}}
    config = layout.document(rootfs, oci.MEDIA_TYPE_CONFIG)
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    layout.entry(layout.document(manifest, oci.MEDIA_TYPE_MANIFEST), ref="x:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    found = contents(rig, "overlayfs")
    # Landmark and index are files of the layer, kept as containerd keeps them.
    kept = {lazylayers.LANDMARK, lazylayers.INDEX} if media_type == oci.MEDIA_TYPE_LAYER_GZIP else set()
    assert found.keys() == {"a", "b"} | kept
    assert (found["a"], found["b"]) == (files["a"], b"b")


# -- made to do harm -----------------------------------------------------------------------------------------------------

HOSTILE: dict[str, tuple[bytes, type[wharfie.WharfieError]]] = {
    "a header with a wrong checksum": (
        tars.raw_file(b"f")[:100] + b"\xff" + tars.raw_file(b"f")[101:],
        wharfie.InvalidArgument,
    ),
    "a size beyond the end": (tars.header(b"f", size=1 << 32), wharfie.DataLoss),
    "a size in base 256 beyond the end": (
        tars.header(b"f", size=b"\x80" + b"\0" * 3 + b"\x7f" * 8),
        wharfie.WharfieError,
    ),
    "a negative size": (tars.header(b"f", size=b"\xff" * 12), wharfie.InvalidArgument),
    "an extended header of a gigabyte": (tars.header(b"x", typeflag=b"x", size=1 << 30), wharfie.InvalidArgument),
    "an extended header that lies": (
        tars.header(b"x", typeflag=b"x", size=9) + tars.padded(b"99 path=a") + tars.raw_file(b"f"),
        wharfie.InvalidArgument,
    ),
    "an owner that is root in 32 bits": (
        tars.pax((b"uid", b"4294967296")) + tars.raw_file(b"f"),
        wharfie.InvalidArgument,
    ),
    "a device that cannot exist": (
        tars.tar([tars.node("n", b"3", major=1 << 20, minor=0)]),
        wharfie.InvalidArgument,
    ),
    "a map of holes that overlaps": (
        tars.pax((b"GNU.sparse.major", b"0"), (b"GNU.sparse.map", b"0,9,1,9"), (b"GNU.sparse.size", b"99"))
        + tars.raw_file(b"f", bytes(18)),
        wharfie.InvalidArgument,
    ),
    "a hole larger than any file": (
        tars.pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"9" * 30)) + tars.raw_file(b"f"),
        wharfie.ResourceExhausted,
    ),
    "a whiteout of the parent": (tars.tar([file(".wh...")]), wharfie.InvalidArgument),
    "a name with a zero byte": (tars.pax((b"path", b"a\0b")) + tars.raw_file(b"f"), wharfie.InvalidArgument),
    "something else": (b"#!/bin/sh\n" * 200, wharfie.InvalidArgument),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_layer_that_lies_is_refused_and_its_snapshot_is_gone(rig: Rig, case: str) -> None:
    layer, error = HOSTILE[case]
    layout = Layout()
    layout.entry(layout.image([layer]), ref="x:1")
    with pytest.raises(error) as caught:
        rig.client.images.import_(rig.archive(layout.tar()))
    assert caught.value.code != "internal"
    nothing_half_done(rig)
    assert rig.snapshots() == []


THROUGH_LINKS = sorted(case for case in CASES if any(member.info.issym() for member in CASES[case]))


@pytest.mark.parametrize("cases", [THROUGH_LINKS[::4], pytest.param(THROUGH_LINKS, marks=pytest.mark.soak)])
def test_no_layer_reaches_outside_through_what_lower_layers_left(rig: Rig, cases: list[str]) -> None:
    """The links are one layer, what goes through them another, as in a real image."""
    outside = rig.directory / "outside"
    (outside / "directory").mkdir(parents=True, exist_ok=True)
    (outside / "victim").write_bytes(b"precious")
    before = (fingerprint(str(outside), skip=""), sorted(os.listdir("/")))
    for number, case in enumerate(cases):
        members = placed(CASES[case], str(outside))
        links = [member for member in members if member.info.issym()]
        rest = [member for member in members if not member.info.issym()]
        layout = Layout()
        layout.entry(layout.image([tars.tar(links), tars.tar(rest)]), ref=f"x:{number}")
        try:
            rig.client.images.import_(rig.archive(layout.tar()))
        except wharfie.WharfieError as error:
            assert error.code in ("invalid_argument", "data_loss"), (case, error)
        nothing_half_done(rig)
    assert (fingerprint(str(outside), skip=""), sorted(os.listdir("/"))) == before


def test_bombs_are_stopped_at_the_limits(tmp_path: Path) -> None:
    config = '[transfer]\nmax_entries = 100\nmax_unpacked_bytes = "8MiB"\n'
    many = tars.tar([file(f"f{number}") for number in range(200)])
    large = tars.tar([file("zeros", bytes(9 << 20))])
    much = tars.tar([file(f"f{number}", bytes(1 << 20)) for number in range(9)])
    hole = tars.pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"%d" % (1 << 40))) + tars.raw_file(b"f")
    nested = gzip.compress(gzip.compress(large))
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as shm,
        Daemon(config=config) as daemon,
        wharfie.connect(str(daemon.address), timeout_s=60) as client,
    ):
        for layer, limit in (
            (many, "entries"),
            (large, "file_bytes"),
            (much, "total_bytes"),
            (hole, "file_bytes"),
            (nested, ""),
        ):
            layout = Layout()
            layout.entry(layout.image([layer]), ref="x:1")
            Path(f"{shm}/x.tar").write_bytes(layout.tar())
            with pytest.raises(wharfie.WharfieError) as caught:
                client.images.import_(f"{shm}/x.tar")
            if limit:
                assert (caught.value.code, caught.value.details["limit"]) == ("resource_exhausted", limit)
            assert client.snapshots.list() == []
