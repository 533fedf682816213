"""What clients ask of snapshots that begins with a name: metadata does its part and passes the request on.

The snapshot worker does the rest, with directories, and answers the caller. A request that is repeated under its key
gets its first row again and is passed on again: the snapshot worker's part is idempotent.
"""

from __future__ import annotations

from actors.call import Call, Pass, handles
from actors.internal import SnapshotCreate, SnapshotGet, SnapshotRemove
from actors.metadata.snapshots import SnapshotService
from wharfie.types import snapshots
from wharfie.types.snapshots import Kind, Usage


class SnapshotDoor:
    """`snapshots.prepare`, `view`, `mounts`, `usage` and `remove`, up to where directories begin."""

    def __init__(self, names: SnapshotService) -> None:
        self._names = names

    @handles("snapshots.prepare")
    def prepare(self, call: Call, request: snapshots.Prepare) -> Pass:
        """Name an active snapshot. Raises: as `snapshotrules.check_create`."""
        return self._create(call, request, Kind.ACTIVE)

    @handles("snapshots.view")
    def view(self, call: Call, request: snapshots.View) -> Pass:
        """Name a view. Raises: as `snapshotrules.check_create`."""
        return self._create(call, request, Kind.VIEW)

    @handles("snapshots.mounts")
    def mounts(self, call: Call, request: snapshots.GetMounts) -> Pass:
        """Find the snapshot. Raises: NotFound, InvalidArgument."""
        get = SnapshotGet(key=request.key, snapshotter=request.snapshotter)
        return Pass("snapshot.show", self._names.get(call, get))

    @handles("snapshots.usage")
    def usage(self, call: Call, request: snapshots.GetUsage) -> Usage | Pass:
        """As recorded at the commit, or to be measured. Raises: NotFound, InvalidArgument."""
        row = self._names.get(call, SnapshotGet(key=request.key, snapshotter=request.snapshotter))
        if row.info.kind is Kind.COMMITTED and row.size >= 0:
            return Usage(size=row.size, inodes=row.inodes)
        return Pass("snapshot.measure", row)

    @handles("snapshots.remove")
    def remove(self, call: Call, request: snapshots.Remove) -> Pass:
        """The name goes. Raises: NotFound, FailedPrecondition (it has children)."""
        remove = SnapshotRemove(key=request.key, snapshotter=request.snapshotter)
        return Pass("snapshot.put_away", self._names.remove(call, remove))

    def _create(self, call: Call, request: snapshots.Prepare | snapshots.View, kind: Kind) -> Pass:
        create = SnapshotCreate(
            key=request.key,
            kind=kind,
            parent=request.parent,
            snapshotter=request.snapshotter,
            labels=request.labels,
        )
        return Pass("snapshot.make", self._names.create(call, create))
