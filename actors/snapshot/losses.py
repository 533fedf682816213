"""Committed snapshots that have a name and no directory any more: after a power failure without a flush, or by hand.

They are found at start, and whenever one is missed. Nothing can be prepared on them; unpacking their image again puts
new directories in their places, under their numbers, so that what stands on them is whole again.
"""

from __future__ import annotations

import logging

from actors import internal
from actors.snapshot.backend import Backend
from wharfie.errors import DataLoss

log = logging.getLogger("snapshot")


class Losses:
    """The numbers of such snapshots, by snapshotter. False while there are none."""

    def __init__(self) -> None:
        self._numbers: dict[str, set[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def look(self, backend: Backend, named: internal.Numbers) -> None:
        """Compare names with directories. Blocks.

        Args:
            backend: the snapshotter.
            named: read before; a directory is there before its snapshot is committed.
        """
        lost = set(named.committed).difference(backend.intact()) if backend.restores else set()
        if lost:
            log.warning(
                "%d committed snapshots of snapshotter '%s' have lost their directories; unpack their images again",
                len(lost),
                backend.name,
            )
            self._numbers[backend.name] = lost
        else:
            self._numbers.pop(backend.name, None)

    def has(self, backend: Backend, number: int) -> bool:
        """Whether a snapshot is lost."""
        return number in self._numbers.get(backend.name, ())

    def check(self, backend: Backend, row: internal.SnapshotRow) -> None:
        """Raise `DataLoss` for a snapshot that stands on a lost one."""
        lost = self._numbers.get(backend.name)
        if lost and not lost.isdisjoint(row.parents):
            raise DataLoss(
                f"snapshot '{row.info.name}' stands on {len(lost.intersection(row.parents))} that have lost their "
                f"directories in '{backend.name}'; unpack the image again"
            )

    def found(self, backend: Backend, number: int) -> None:
        """A directory is there again."""
        lost = self._numbers.get(backend.name, set())
        lost.discard(number)
        if not lost:
            self._numbers.pop(backend.name, None)
