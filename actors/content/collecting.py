"""What the garbage collector has this worker delete: bytes that lost their last name, and ingests that nobody wants.

Metadata decides what has a name; here it is asked again for each digest, while nobody commits it. An ingest that was
begun with a lease lives as long as some lease holds it; one without lives as long as it grows now and then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from actors import internal
from actors.content.committing import Commits
from actors.content.ingest import Ingest
from actors.content.ingests import Ingests
from actors.content.locks import Slots
from actors.content.names import Names
from actors.content.store import BlobStore, remove_directory
from actors.worker import Worker

UNLEASED_NS = 24 * 3600 * 10**9
"""containerd's, too."""

AT_ONCE = 64
"""Digests that are locked, asked about and deleted together."""

ASKED = 1000
"""Digests that are asked about together."""


class Collecting:
    """Deletes what is dead.

    Args:
        unleased_ns: the age at which an ingest without a lease is dropped.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        store: BlobStore,
        ingests: Ingests,
        names: Names,
        commits: Commits,
        slots: Slots,
        unleased_ns: int,
    ) -> None:
        self._worker = worker
        self._store = store
        self._ingests = ingests
        self._names = names
        self._commits = commits
        self._slots = slots
        self._unleased_ns = unleased_ns

    async def collect(self, request: internal.ContentCollect) -> internal.ContentCollected:
        """Do what is asked. Idempotent: what is gone already is not counted."""
        dead: dict[str, int] = {}
        candidates = await self._unnamed() if request.all else request.digests
        for some in _pieces(candidates, AT_ONCE):
            dead |= await self._commits.unlink_dead(some, dry=request.dry)
        return internal.ContentCollected(
            files=len(dead),
            bytes=sum(dead.values()),
            ingests=0 if request.dry else await self._drop_ingests(),
            digests=sorted(dead) if request.dry else [],
        )

    async def _unnamed(self) -> list[str]:
        """The digests of files that nobody named a moment ago."""
        unnamed: list[str] = []
        for some in _pieces(await self._worker.blocking(self._store.digests), ASKED):
            named = await self._names.any_of(some)
            unnamed.extend(digest for digest in some if digest not in named)
        return unnamed

    async def _drop_ingests(self) -> int:
        """Drop the ingests that nobody wants, but for those that somebody is at. Returns how many."""
        before_ns = time.time_ns() - self._unleased_ns
        asked = [ingest for ingest in self._ingests.all() if ingest.record.lease or ingest.updated_at_ns < before_ns]
        if not asked:
            return 0
        held = await self._names.held([(ingest.record.namespace, ingest.record.ref) for ingest in asked])
        dropped = 0
        for ingest, is_held in zip(asked, held, strict=True):
            dropped += not is_held and await self._drop(ingest)
        return dropped

    async def _drop(self, ingest: Ingest) -> bool:
        name = (ingest.record.namespace, ingest.record.ref)
        if self._slots.is_busy(name):
            return False
        async with self._slots.of(*name).turn():
            if self._ingests.get(*name) is not ingest:
                return False
            directory = self._ingests.drop(ingest)
        await self._worker.blocking(remove_directory, directory)
        return True


def _pieces(digests: list[str], size: int) -> Iterator[list[str]]:
    return (digests[begin : begin + size] for begin in range(0, len(digests), size))
