"""What an interrupted pull leaves for the next one.

The lease of a request ends with it, and what only that held is garbage then. So layers and their ingests are held by a
second lease as well, named after the reference: one of a day, which goes when the pull has succeeded.
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid

from actors.transfer.arrival import ref_of
from actors.transfer.leasing import expiry, hold
from actors.worker import Worker
from wharfie.errors import AlreadyExists, NotFound
from wharfie.reference import Reference
from wharfie.types import leases
from wharfie.types.base import Empty
from wharfie.types.leases import EXPIRE_LABEL, FLAT_LABEL

PREFIX = "pull-"
"""How the id of such a lease begins."""

OF = "wharfie.io/pull"
"""Its label that says what was pulled."""


class Resumption:
    """The lease of one reference in a namespace, made when there is something to keep."""

    def __init__(self, worker: Worker, namespace: str, reference: Reference) -> None:
        self._worker = worker
        self._namespace = namespace
        self._reference = reference
        self._id = f"{PREFIX}{hashlib.sha256(reference.name.encode()).hexdigest()[:32]}"
        self._key = f"pull/{uuid.uuid4().hex}/lease"
        self._is_made = False

    async def keep(self, digest: str) -> None:
        """Keep a layer, as far as it is there now and will be."""
        if not self._is_made:
            await self._make()
            self._is_made = True
        for kind, resource in (("ingests", ref_of(digest)), ("content", digest)):
            # The pull of the same reference that made it has succeeded meanwhile: nothing needs to be kept any more.
            with contextlib.suppress(NotFound):
                await hold(self._worker, self._namespace, self._id, kind, resource)

    async def drop(self) -> None:
        """The pull has succeeded: the image holds what is needed. Idempotent."""
        delete = leases.Delete(id=self._id)
        with contextlib.suppress(NotFound):
            await self._worker.call(
                "leases.delete", delete, Empty, namespace=self._namespace, key=f"{self._key}/delete", timeout_s=None
            )

    async def _make(self) -> None:
        until = expiry()
        labels = {EXPIRE_LABEL: until, FLAT_LABEL: "true", OF: self._reference.name}
        try:
            create = leases.Create(id=self._id, labels=labels)
            await self._worker.call(
                "leases.create", create, leases.Lease, namespace=self._namespace, key=f"{self._key}/create"
            )
        except AlreadyExists:
            # Left by an earlier attempt: a day from now on.
            update = leases.Update(id=self._id, labels={EXPIRE_LABEL: until}, mask=[f"labels.{EXPIRE_LABEL}"])
            with contextlib.suppress(NotFound):
                await self._worker.call(
                    "leases.update", update, leases.Lease, namespace=self._namespace, key=f"{self._key}/update"
                )
