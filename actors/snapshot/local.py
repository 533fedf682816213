"""What the snapshotters that keep plain directories have in common: one directory `<n>/fs` of files for each number."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Sequence

from actors.snapshot.backend import Backend
from actors.snapshot.directories import Directories
from actors.snapshot.diskusage import measure
from actors.snapshot.idmaps import IdMaps
from actors.snapshot.removal import remove_tree
from linux.files import syncfs
from wharfie.errors import DataLoss
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage


class LocalBackend(Backend):
    """Everything but how a directory is filled and how it is mounted.

    Args:
        root: absolute path of this snapshotter's directory; made when missing.
        flush: write everything to disk before a snapshot counts as committed.
    """

    restores = True

    def __init__(self, root: str, *, flush: bool = True) -> None:
        self.directories = Directories(root, delete=self.delete)
        self._flush = flush

    def files(self, number: int) -> str:
        """Where a snapshot's files are."""
        return f"{self.directories.path(number)}/fs"

    def layer(self, number: int) -> str:
        """Where the files of a committed snapshot are seen by those above it."""
        return self.files(number)

    def delete(self, path: str) -> None:
        """Free the space of a directory of `directories`. Idempotent."""
        remove_tree(path)

    def prepare(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """See `Backend.prepare`."""
        if parents and not os.path.isdir(self.layer(parents[0])):
            raise DataLoss(
                f"directory of snapshot number {parents[0]} is gone from '{self.directories.root}'; "
                "remove the snapshots above it and unpack the image again"
            )
        self.directories.build(number, lambda building: self.fill(building, parents, kind, ids))

    @abstractmethod
    def fill(self, building: str, parents: Sequence[int], kind: Kind, ids: IdMaps | None) -> None:
        """Put into an empty directory what a new snapshot consists of."""

    def commit(self, number: int) -> Usage:
        """See `Backend.commit`."""
        files = self.files(number)
        if self._flush:
            fd = os.open(files, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syncfs(fd)
            finally:
                os.close(fd)
        return self.usage(number)

    def usage(self, number: int) -> Usage:
        """See `Backend.usage`."""
        return measure(self.files(number))

    def remove(self, number: int) -> None:
        """See `Backend.remove`."""
        self.directories.remove(number)

    def cleanup(self, known: Collection[int], highest: int) -> int:
        """See `Backend.cleanup`."""
        return self.directories.cleanup(known, highest)

    def numbers(self) -> list[int]:
        """See `Backend.numbers`."""
        return self.directories.numbers()

    def restore(self, number: int, lost: int) -> None:
        """See `Backend.restore`."""
        self.directories.move(number, lost)

    def sweep(self) -> None:
        """See `Backend.sweep`."""
        self.directories.sweep()


def bind(source: str, *, writable: bool) -> Mount:
    """A mount that shows one directory as it is."""
    return Mount(type="bind", source=source, options=["rw" if writable else "ro", "rbind"])
