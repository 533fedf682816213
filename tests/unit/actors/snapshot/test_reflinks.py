"""Copies that share their data, where the file system can."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator

import pytest

from actors.snapshot.native import Native
from tests.support.loopfs import loop_filesystem, need
from wharfie.types.snapshots import Kind

_FIEMAP = 0xC020660B
_SHARED = 0x2000


@pytest.fixture
def sharing(root: str) -> Iterator[str]:
    """A directory on a file system with reflinks."""
    need("btrfs")
    with loop_filesystem("btrfs", f"{root}/btrfs"):
        yield f"{root}/btrfs/snapshots"


def is_shared(path: str) -> bool:
    """Whether the first extent of a file belongs to another file too, by FS_IOC_FIEMAP (the kernel's fiemap.h)."""
    buffer = bytearray(struct.pack("<QQIIII", 0, 1 << 62, 1, 0, 1, 0) + bytes(56))
    with open(path, "rb") as file:
        fcntl.ioctl(file, _FIEMAP, buffer)
    flags: int = struct.unpack_from("<I", buffer, 32 + 40)[0]
    return bool(flags & _SHARED)


def test_a_native_snapshot_shares_its_parents_data_until_it_is_written(sharing: str) -> None:
    backend = Native(sharing)
    backend.prepare(1, [], Kind.ACTIVE)
    with open(f"{sharing}/1/fs/file", "wb") as file:
        file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    assert not is_shared(f"{sharing}/1/fs/file")
    backend.commit(1)
    backend.prepare(2, [1], Kind.ACTIVE)
    copy = f"{sharing}/2/fs/file"
    assert is_shared(copy)
    with open(copy, "r+b") as file:
        file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    assert not is_shared(copy)
    with open(f"{sharing}/1/fs/file", "rb") as original, open(copy, "rb") as copied:
        assert original.read() != copied.read()
