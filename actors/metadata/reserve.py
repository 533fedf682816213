"""A little disk space kept back, so that deleting still works when the disk is full.

Deleting from a database writes before it frees. A file of `SIZE_BYTES` beside the database holds the space for that; it
is given up when a commit finds less than `SHORT_BYTES` free, and taken again before anything new is stored. While it is
missing, only what does not grow the database's file is let through.
"""

from __future__ import annotations

import contextlib
import os

SIZE_BYTES = 2 << 20
"""Enough for what the write-ahead log holds at most, once in the log and once in the database."""

SHORT_BYTES = 256 << 10
"""Free space with which a commit might fail."""

GROWING = frozenset(
    {
        "containers.create",
        "images.create",
        "leases.create",
        "leases.add_resource",
        "namespaces.create",
        "metadata.blob_register",
        "metadata.lease_hold",
        "metadata.snapshot_create",
        "snapshots.prepare",
        "snapshots.view",
    }
)
"""Methods that are refused while the reserve is missing; events (a container's exit) are let through."""


class Reserve:
    """The file that holds the space.

    Args:
        path: where it lies; on the database's file system.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory = os.path.dirname(path)
        self.is_there = False
        self.take()

    def take(self) -> bool:
        """Allocate the space, whole or not at all; a no-op when it is there. Returns whether it is."""
        if self.is_there:
            return True
        if self._free_bytes() < SIZE_BYTES + SHORT_BYTES and not os.path.exists(self._path):
            return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(descriptor, 0, SIZE_BYTES)
            self.is_there = True
        except OSError:
            self.release()
        finally:
            os.close(descriptor)
        return self.is_there

    def is_needed(self) -> bool:
        """Whether the space is there and so little is free that a commit needs it."""
        return self.is_there and self._free_bytes() < SHORT_BYTES

    def _free_bytes(self) -> int:
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize

    def release(self) -> bool:
        """Give the space up; it can be written to at once. Returns whether there was any."""
        had = self.is_there
        self.is_there = False
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        return had
