"""The native back-end by itself."""

from __future__ import annotations

import os

import pytest

from actors.snapshot.native import Native
from wharfie.errors import DataLoss
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage


def bind(source: str, access: str) -> list[Mount]:
    return [Mount(type="bind", source=source, options=[access, "rbind"])]


def test_mounts_bind_the_copy_and_a_view_its_parent(root: str) -> None:
    backend = Native(root)
    assert backend.mounts(1, [], Kind.ACTIVE) == bind(f"{root}/1/fs", "rw")
    assert backend.mounts(2, [1], Kind.ACTIVE) == bind(f"{root}/2/fs", "rw")
    assert backend.mounts(2, [1], Kind.VIEW) == bind(f"{root}/1/fs", "ro")
    assert backend.mounts(1, [], Kind.VIEW) == bind(f"{root}/1/fs", "ro")


def test_an_active_snapshot_is_a_copy_and_a_view_is_not(root: str) -> None:
    backend = Native(root)
    backend.prepare(1, [], Kind.ACTIVE)
    with open(f"{root}/1/fs/file", "wb") as file:
        file.write(b"x" * 5000)
    assert backend.commit(1) == Usage(size=8192, inodes=2)
    backend.prepare(2, [1], Kind.ACTIVE)
    backend.prepare(3, [1], Kind.VIEW)
    with open(f"{root}/2/fs/file", "rb") as file:
        assert file.read() == b"x" * 5000
    assert os.stat(f"{root}/2/fs/file").st_ino != os.stat(f"{root}/1/fs/file").st_ino
    assert os.listdir(f"{root}/3/fs") == []
    assert backend.usage(2) == Usage(size=8192, inodes=2)


def test_prepare_again_keeps_what_was_written(root: str) -> None:
    backend = Native(root)
    backend.prepare(1, [], Kind.ACTIVE)
    with open(f"{root}/1/fs/file", "w"):
        pass
    backend.prepare(1, [], Kind.ACTIVE)
    assert os.listdir(f"{root}/1/fs") == ["file"]


def test_a_parent_whose_directory_is_gone_is_told(root: str) -> None:
    with pytest.raises(DataLoss, match="number 7"):
        Native(root).prepare(8, [7], Kind.ACTIVE)
    assert os.listdir(root) == []


def test_removed_snapshots_are_swept_and_cleanup_spares_what_is_under_way(root: str) -> None:
    backend = Native(root)
    for number in (1, 2, 3):
        backend.prepare(number, [], Kind.ACTIVE)
    backend.remove(1)
    backend.remove(1)
    assert backend.cleanup([], 2) == 1
    backend.sweep()
    assert os.listdir(root) == ["3"]
