"""Archives as files, and plans of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.transfer.archive import read_archive
from actors.transfer.plan import ArchivePlan, Plan, ReadArchive

Planner = Callable[..., Plan]
MAX_BYTES = 64 << 20


def open_bytes(data: bytes) -> int:
    """A descriptor of a file in memory, at its beginning."""
    fd = os.memfd_create("archive")
    os.write(fd, data) if len(data) < 1 << 30 else None
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def read(data: bytes, *, max_bytes: int = MAX_BYTES, seekable: bool = True, **request: Any) -> ArchivePlan:
    """What the job would answer."""
    archive, spool_file = open_bytes(data), os.memfd_create("spool")
    try:
        wanted = ReadArchive(seekable=seekable, max_bytes=max_bytes, **request)
        return read_archive(wanted, archive=archive, spool_file=spool_file)
    finally:
        os.close(archive)
        os.close(spool_file)


@pytest.fixture
def plan() -> Iterator[Planner]:
    """Reads an archive given as bytes."""
    before = len(os.listdir("/proc/self/fd"))

    def planned(data: bytes, **request: Any) -> Plan:
        return read(data, **request).plan

    yield planned
    assert len(os.listdir("/proc/self/fd")) == before
