"""The btrfs back-end by itself, on a real file system of its kind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from actors.plugins.context import SkipPlugin
from actors.snapshot.btrfs import Btrfs
from linux import btrfs
from tests.support.loopfs import loop_filesystem, need
from wharfie.errors import DataLoss
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage


@pytest.fixture
def subvolumes(root: str) -> Iterator[str]:
    """A directory on btrfs."""
    need("btrfs")
    with loop_filesystem("btrfs", f"{root}/btrfs"):
        yield f"{root}/btrfs/snapshots"


def bind(source: str, access: str) -> list[Mount]:
    return [Mount(type="bind", source=source, options=[access, "rbind"])]


def write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def test_another_file_system_is_skipped_with_the_reason(root: str) -> None:
    with pytest.raises(SkipPlugin, match="is not on btrfs"):
        Btrfs(root)
    assert os.listdir(root) == []


def test_snapshots_are_subvolumes_that_share_what_did_not_change(subvolumes: str) -> None:
    backend = Btrfs(subvolumes)
    backend.prepare(1, [], Kind.ACTIVE)
    write(f"{subvolumes}/1/fs/big", os.urandom(1 << 20))
    write(f"{subvolumes}/1/fs/old", b"old" * 4000)
    assert backend.commit(1) == Usage(size=(1 << 20) + 12288, inodes=3)
    backend.prepare(2, [1], Kind.ACTIVE)
    assert os.stat(f"{subvolumes}/2/fs").st_ino == btrfs.ROOT_INODE
    assert backend.usage(2) == Usage(size=0, inodes=0)
    write(f"{subvolumes}/2/fs/old", b"new" * 4000)
    write(f"{subvolumes}/2/fs/more", b"more" * 4000)
    # The directory that has got an entry, and two files.
    assert backend.commit(2) == Usage(size=12288 + 16384, inodes=3)
    assert backend.mounts(2, [1], Kind.ACTIVE) == bind(f"{subvolumes}/2/fs", "rw")
    assert backend.mounts(3, [2, 1], Kind.VIEW) == bind(f"{subvolumes}/2/fs", "ro")
    assert backend.mounts(3, [], Kind.VIEW) == bind(f"{subvolumes}/3/fs", "ro")


def test_what_others_stand_on_cannot_be_written_any_more(subvolumes: str) -> None:
    backend = Btrfs(subvolumes)
    backend.prepare(1, [], Kind.ACTIVE)
    backend.commit(1)
    write(f"{subvolumes}/1/fs/late", b"its name was refused, it goes on")
    backend.commit(1)
    backend.prepare(2, [1], Kind.ACTIVE)
    with pytest.raises(OSError, match="Read-only"):
        write(f"{subvolumes}/1/fs/later", b"")
    write(f"{subvolumes}/2/fs/above", b"")


def test_prepare_again_keeps_what_was_written(subvolumes: str) -> None:
    backend = Btrfs(subvolumes)
    backend.prepare(1, [], Kind.ACTIVE)
    write(f"{subvolumes}/1/fs/file", b"")
    backend.prepare(1, [], Kind.ACTIVE)
    assert os.listdir(f"{subvolumes}/1/fs") == ["file"]


def test_a_parent_whose_directory_is_gone_is_told(subvolumes: str) -> None:
    with pytest.raises(DataLoss, match="number 7"):
        Btrfs(subvolumes).prepare(8, [7], Kind.ACTIVE)
    assert os.listdir(subvolumes) == []


def test_subvolumes_within_subvolumes_are_deleted_with_them_frozen_or_not(subvolumes: str) -> None:
    backend = Btrfs(subvolumes)
    backend.prepare(1, [], Kind.ACTIVE)
    files = f"{subvolumes}/1/fs"
    for path in ("a", "a/b", "a/b/c", "d"):
        btrfs.create(f"{files}/{path}")
        write(f"{files}/{path}/file", b"x")
    os.mkdir(f"{files}/plain")
    btrfs.create(f"{files}/plain/e")
    for path in ("a/b", "plain/e", ""):
        fd = os.open(f"{files}/{path}", os.O_RDONLY)
        btrfs.set_read_only(fd)
        os.close(fd)
    backend.remove(1)
    backend.sweep()
    assert os.listdir(subvolumes) == []


def test_what_a_crash_left_half_made_is_put_away_and_swept(subvolumes: str) -> None:
    backend = Btrfs(subvolumes)
    backend.prepare(1, [], Kind.ACTIVE)
    os.mkdir(f"{subvolumes}/new-2-0-0")
    btrfs.snapshot(f"{subvolumes}/1/fs", f"{subvolumes}/new-2-0-0/fs")
    backend = Btrfs(subvolumes)
    assert backend.cleanup([], 1) == 1
    backend.sweep()
    assert os.listdir(subvolumes) == []
