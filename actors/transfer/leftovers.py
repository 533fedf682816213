"""Snapshots in the making whose maker is dead.

There is one transfer worker at a time, so a key that begins with `unpack-` and does not bear this incarnation's token
belongs to nobody. They are removed at start, and again at the end of each unpacking: a request that the dead worker had
sent may have been carried out after the first look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection

from actors.transfer.unpacker import PREFIX
from actors.worker import Worker
from wharfie.errors import NotFound, WharfieError
from wharfie.types import namespaces, snapshots
from wharfie.types.base import Empty

log = logging.getLogger("transfer")

_AGAIN_S = 1.0
_TRIES = 60


class Leftovers:
    """Finds and removes them.

    Args:
        snapshotters: where to look.
        token: of this incarnation.
    """

    def __init__(self, worker: Worker, *, snapshotters: Collection[str], token: str) -> None:
        self._worker = worker
        self._snapshotters = tuple(snapshotters)
        self._token = token

    async def heal(self) -> None:
        """Look everywhere, until it has worked once: at start the other workers may not be up yet."""
        for _ in range(_TRIES):
            try:
                found = await self._worker.call("namespaces.list", namespaces.List(), namespaces.Listing)
                for namespace in found.namespaces:
                    await self.remove(namespace.name)
                return
            except WharfieError as error:
                log.warning("left-over snapshots not removed yet", extra={"error": str(error)})
                await asyncio.sleep(_AGAIN_S)

    async def clean_up(self, namespace: str) -> None:
        """The same as `remove` at the end of a request; that it fails is no reason for the request to fail."""
        try:
            await self.remove(namespace)
        except WharfieError as error:
            log.warning("left-over snapshots not removed", extra={"namespace": namespace, "error": str(error)})

    async def remove(self, namespace: str) -> int:
        """Remove those of a namespace; tells how many there were."""
        count = 0
        for snapshotter in self._snapshotters:
            found = await self._worker.call(
                "snapshots.list",
                snapshots.List(snapshotter=snapshotter, filters=[f'name~="^{PREFIX}"']),
                snapshots.Listing,
                namespace=namespace,
            )
            for info in found.snapshots:
                if is_leftover(info, token=self._token):
                    count += 1
                    await self._remove(namespace, snapshotter, info.name)
        if count:
            log.info("left-over snapshots removed", extra={"count": count, "namespace": namespace})
        return count

    async def _remove(self, namespace: str, snapshotter: str, key: str) -> None:
        with contextlib.suppress(NotFound):
            await self._worker.call(
                "snapshots.remove",
                snapshots.Remove(key=key, snapshotter=snapshotter),
                Empty,
                namespace=namespace,
                key=f"{key}/left-over",
            )


def is_leftover(info: snapshots.Info, *, token: str) -> bool:
    """Whether a snapshot is in the making and its maker dead. Pure."""
    return (
        info.kind is not snapshots.Kind.COMMITTED
        and info.name.startswith(PREFIX)
        and not info.name.startswith(f"{PREFIX}{token}-")
    )
