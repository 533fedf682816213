"""What the snapshot worker asks metadata, which owns the names."""

from __future__ import annotations

from actors import internal
from actors.call import Call
from actors.snapshot.backend import Backend
from actors.worker import Worker
from wharfie.errors import NotFound


class Names:
    """Names and numbers of snapshots."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def find(self, call: Call, key: str, snapshotter: str) -> internal.SnapshotRow | None:
        """A snapshot of the call's namespace."""
        try:
            return await self._worker.call(
                "metadata.snapshot_get",
                internal.SnapshotGet(key=key, snapshotter=snapshotter),
                internal.SnapshotRow,
                namespace=call.namespace,
                timeout_s=call.remaining_s(),
            )
        except NotFound:
            return None

    async def create(self, call: Call, create: internal.SnapshotCreate, *, step: str) -> internal.SnapshotRow:
        """Name a snapshot. Idempotent for the call's key and this step of it."""
        return await self._worker.call(
            "metadata.snapshot_create",
            create,
            internal.SnapshotRow,
            namespace=call.namespace,
            key=call.derive(step),
            lease=call.lease,
            timeout_s=call.remaining_s(),
        )

    async def remove(self, call: Call, key: str, snapshotter: str, *, step: str) -> None:
        """Take a name away. Idempotent for the call's key and this step of it."""
        await self._worker.call(
            "metadata.snapshot_remove",
            internal.SnapshotRemove(key=key, snapshotter=snapshotter),
            internal.SnapshotRow,
            namespace=call.namespace,
            key=call.derive(step),
        )

    async def numbers(self, backend: Backend, timeout_s: float | None) -> internal.Numbers:
        """The numbers of a snapshotter's snapshots, in every namespace."""
        return await self._worker.call(
            "metadata.snapshot_numbers",
            internal.SnapshotNumbers(snapshotter=backend.name),
            internal.Numbers,
            timeout_s=timeout_s,
        )
