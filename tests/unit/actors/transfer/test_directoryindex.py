"""OCI layouts that are directories."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.transfer.archive import read_archive
from actors.transfer.directoryindex import DirectoryIndex, open_beneath
from actors.transfer.plan import Plan, ReadArchive
from tests.support.archives import Layout, tar
from wharfie.errors import InvalidArgument, NotFound


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield tmp_path, fd
    os.close(fd)


def fill(path: Path, layout: Layout) -> None:
    index = json.dumps({"schemaVersion": 2, "manifests": layout.entries}).encode()
    for name, data in {**layout.files, "index.json": index}.items():
        assert isinstance(data, bytes)
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


def plan(fd: int, **request: Any) -> Plan:
    return read_archive(ReadArchive(seekable=True, max_bytes=1 << 20, **request), archive=fd, spool_file=-1).plan


def test_a_layout_is_planned_with_the_files_of_its_blobs(directory: tuple[Path, int]) -> None:
    path, fd = directory
    layout = Layout()
    layout.entry(layout.image([tar({"a": b"1"})]), ref="x:1")
    fill(path, layout)
    found = plan(fd, digests=True)
    assert [image.name for image in found.images] == ["x:1", f"x@{layout.entries[0]['digest']}"]
    for blob in found.blobs:
        assert blob.source.member == f"blobs/{blob.digest.replace(':', '/')}"
        assert (path / blob.source.member).stat().st_size == blob.source.length
        assert blob.source.offset == 0


def test_a_directory_that_is_no_layout_is_refused(directory: tuple[Path, int]) -> None:
    path, fd = directory
    (path / "manifest.json").write_text("[]")
    with pytest.raises(InvalidArgument, match="directory is no OCI layout"):
        plan(fd)


def test_a_blob_that_is_missing_is_named(directory: tuple[Path, int]) -> None:
    path, fd = directory
    layout = Layout()
    image = layout.image([tar({"a": b"1"})])
    layout.entry(image, ref="x:1")
    fill(path, layout)
    (path / "blobs" / image["digest"].replace(":", "/")).unlink()
    with pytest.raises(InvalidArgument, match=f"blob '{image['digest']}' is missing"):
        plan(fd)


@pytest.mark.parametrize("name", ["out", "fifo", "dir", "../x", "/etc/passwd", "none"])
def test_nothing_but_files_below_the_directory_is_opened(directory: tuple[Path, int], name: str) -> None:
    path, fd = directory
    (path / "out").symlink_to("/etc/passwd")
    os.mkfifo(path / "fifo")
    (path / "dir").mkdir()
    index = DirectoryIndex(fd)
    assert index.find(name) is None
    assert index.source(name) is None
    with pytest.raises(NotFound):
        index.read(name, limit=10)
    with pytest.raises(OSError):
        open_beneath(fd, name)


def test_links_within_the_directory_are_followed(directory: tuple[Path, int]) -> None:
    path, fd = directory
    (path / "real").write_bytes(b"12345")
    (path / "link").symlink_to("real")
    index = DirectoryIndex(fd)
    assert index.read("link", limit=5) == b"12345"
    with pytest.raises(InvalidArgument, match="more than 4 bytes"):
        index.read("link", limit=4)
