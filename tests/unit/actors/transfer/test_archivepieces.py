"""Archives of images: what is in them, the same bytes each time, readable from any place."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tarfile
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.archivepieces import Named, Piece, archive, familiar, name_of
from actors.transfer.archivereader import ArchiveReader
from actors.transfer.imagetree import Choice, Chooser
from tests.support.archives import MACHINE, Layout, platform, tar
from tests.support.blobsource import BlobSource, described
from tests.unit.actors.transfer.conftest import open_bytes, read
from wharfie.errors import DataLoss
from wharfie.oci import platforms

LAYER = tar({"a": b"1" * 3000})
HERE = f"linux/{MACHINE}"


class Made:
    """An archive, and the source of its blobs."""

    def __init__(self, layout: Layout, images: Mapping[str, Mapping[str, Any]], **choice: Any) -> None:
        self.source = BlobSource(layout)
        chooser = Chooser(source=self.source, choice=Choice(**choice))
        named = [
            Named(name, asyncio.run(chooser.tree(described(target), name=name))) for name, target in images.items()
        ]
        self.pieces = archive(named, wanted=platforms.host(), with_docker=True)
        self.without_docker = archive(named, wanted=platforms.host(), with_docker=False)

    def open(self, digest: str) -> int:
        return open_bytes(self.source.blobs[digest])

    def bytes(self, pieces: list[Piece] | None = None) -> bytes:
        with ArchiveReader(pieces or self.pieces, self.open) as reader:
            return b"".join(iter(lambda: reader.read(700), b""))


@pytest.fixture(scope="module")
def two() -> Made:
    layout = Layout()
    first, second = layout.image([LAYER]), layout.image([LAYER, tar({"b": b"2"})])
    return Made(layout, {"docker.io/library/a:1": first, "a:also": first, "host:5000/b": second})


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        assert [info.name for info in file] == sorted(info.name for info in file)
        found = {}
        for info in file:
            assert (info.mtime, info.uid, info.gid) == (0, 0, 0)
            assert info.mode == (0o755 if info.isdir() else 0o444)
            opened = file.extractfile(info)
            if opened is not None:
                found[info.name] = opened.read()
        return found


def test_an_archive_is_a_layout_with_both_names_of_each_image(two: Made) -> None:
    found = members(two.bytes())
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    entries = json.loads(found["index.json"])["manifests"]
    assert [tuple(sorted(entry["annotations"].values())) for entry in entries] == [
        ("1", "docker.io/library/a:1"),
        ("a:also", "also"),
        ("host:5000/b", "host:5000/b"),
    ]
    blobs = {name: data for name, data in found.items() if name.startswith("blobs/")}
    assert set(blobs) == {f"blobs/{digest.replace(':', '/')}" for digest in two.source.blobs}


def test_docker_finds_its_own_list_with_tags_as_it_shows_them(two: Made) -> None:
    found = members(two.bytes())
    listed = json.loads(found["manifest.json"])
    assert [entry["RepoTags"] for entry in listed] == [["a:1", "a:also"], []]
    assert all(path in found for entry in listed for path in (entry["Config"], *entry["Layers"]))
    assert "manifest.json" not in members(two.bytes(two.without_docker))


def test_of_an_index_docker_gets_one_platform_or_nothing() -> None:
    layout = Layout()
    here, other = layout.image([LAYER]), layout.image([tar({"b": b"2"})], architecture="s390x")
    both = layout.index(platform(other, "linux/s390x"), platform(here, HERE))
    strange = layout.index(platform(other, "linux/s390x"), platform(other, "linux/mips"))
    found = members(Made(layout, {"x:1": both, "y:1": strange}, all_platforms=True).bytes())
    (listed,) = json.loads(found["manifest.json"])
    assert listed["RepoTags"] == ["x:1"]
    assert len(json.loads(found["index.json"])["manifests"]) == 2


def test_our_own_import_reads_it(two: Made) -> None:
    plan = read(two.bytes()).plan
    assert [image.name for image in plan.images] == ["docker.io/library/a:1", "a:also", "host:5000/b"]
    assert {blob.digest for blob in plan.blobs} == set(two.source.blobs)


def test_the_same_images_make_the_same_bytes_and_others_have_another_name(two: Made) -> None:
    assert name_of(two.pieces) == name_of(list(two.pieces))
    assert name_of(two.pieces) != name_of(two.without_docker)
    assert sum(piece.size for piece in two.pieces) == len(two.bytes())


@given(offset=st.integers(0, 40_000), size=st.integers(1, 5_000))
def test_an_archive_can_be_read_from_any_place(two: Made, offset: int, size: int) -> None:
    whole = two.bytes()
    with ArchiveReader(two.pieces, two.open, offset=offset) as reader:
        assert reader.read(size) == whole[offset : offset + size]
        assert reader.position == offset + len(whole[offset : offset + size])


def test_an_archive_is_copied_into_a_file(two: Made) -> None:
    target = os.memfd_create("target")
    before = len(os.listdir("/proc/self/fd"))
    with ArchiveReader(two.pieces, two.open) as reader:
        while reader.copy_some(target):
            pass
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.pread(target, reader.position + 1, 0) == two.bytes()
    os.close(target)


@pytest.mark.parametrize("how", ["read", "copy"])
def test_a_blob_that_became_shorter_is_an_error_and_no_shorter_archive(two: Made, how: str) -> None:
    def half(digest: str) -> int:
        return open_bytes(two.source.blobs[digest][:-1])

    target = os.memfd_create("target")
    with ArchiveReader(two.pieces, half) as reader, pytest.raises(DataLoss, match="has fewer than its"):
        while reader.read(1000) if how == "read" else reader.copy_some(target):
            pass
    os.close(target)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docker.io/library/busybox:1", "busybox:1"),
        ("docker.io/me/app:1", "me/app:1"),
        ("quay.io/library/app:1", "quay.io/library/app:1"),
        ("busybox:1", "busybox:1"),
        # Without the registry it would be read as another one's.
        ("docker.io/localhost/app:1", "docker.io/localhost/app:1"),
        ("No reference:1", "No reference:1"),
    ],
)
def test_names_are_shown_as_docker_shows_them(name: str, expected: str) -> None:
    assert familiar(name) == expected
