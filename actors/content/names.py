"""What this worker asks metadata: who names a digest, and that a namespace shall name it or forget it."""

from __future__ import annotations

from actors import internal
from actors.call import Call
from actors.worker import Worker
from wharfie.types.base import Empty, Labels

_TIMEOUT_S = 30.0
"""For what must be finished once it has begun, whatever is left of the caller's time."""


class Names:
    """Calls of metadata on behalf of a request; keyed, so that repeating the request repeats the answers."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def of(self, digest: str, *, namespace: str) -> internal.BlobNames:
        """Whether this namespace, and whether any, names a digest."""
        return await self._worker.call(
            "metadata.blob_named",
            internal.BlobNamed(digest=digest),
            internal.BlobNames,
            namespace=namespace,
            timeout_s=_TIMEOUT_S,
        )

    async def any_of(self, digests: list[str]) -> set[str]:
        """Those of the digests that some namespace names."""
        named = await self._worker.call(
            "metadata.blobs_named", internal.BlobsNamed(digests=digests), internal.NamedBlobs, timeout_s=_TIMEOUT_S
        )
        return set(named.digests)

    async def held(self, ingests: list[tuple[str, str]]) -> list[bool]:
        """For each ingest (namespace, ref) whether a lease holds it."""
        names = [internal.IngestName(namespace=namespace, ref=ref) for namespace, ref in ingests]
        answer = await self._worker.call(
            "metadata.ingests_held", internal.IngestsHeld(ingests=names), internal.HeldIngests, timeout_s=_TIMEOUT_S
        )
        return answer.held

    async def claim(self, call: Call, digest: str) -> internal.BlobNames:
        """As `of`; what the call's namespace names is held by its lease from now on.

        Raises:
            NotFound: no such lease.
        """
        return await self._worker.call(
            "metadata.blob_claim",
            internal.BlobClaim(digest=digest),
            internal.BlobNames,
            namespace=call.namespace,
            key=call.derive(f"claim-{digest[-12:]}"),
            lease=call.lease,
            timeout_s=_TIMEOUT_S,
        )

    async def hold_ingest(self, call: Call, ref: str) -> None:
        """Have the call's lease hold an ingest; a no-op without a lease.

        Raises:
            NotFound: no such lease.
        """
        if call.lease:
            await self._worker.call(
                "metadata.lease_hold",
                internal.LeaseHold(type="ingests", id=ref),
                Empty,
                namespace=call.namespace,
                key=call.derive("hold"),
                lease=call.lease,
                timeout_s=_TIMEOUT_S,
            )

    async def register(
        self, call: Call, digest: str, *, size: int, labels: Labels, ref: str = ""
    ) -> internal.BlobRegistered:
        """Have the namespace name a blob whose bytes are in place; tells whether that is new to it.

        Args:
            call: on whose behalf; its lease holds the blob.
            digest: of the blob.
            size: of the blob, bytes.
            labels: merged into those that it has.
            ref: of the ingest that it was; the lease no longer holds that.
        """
        return await self._worker.call(
            "metadata.blob_register",
            internal.BlobRegister(digest=digest, size=size, labels=labels, ref=ref),
            internal.BlobRegistered,
            namespace=call.namespace,
            key=call.derive("register"),
            lease=call.lease,
            timeout_s=_TIMEOUT_S,
        )

    async def forget(self, call: Call, digest: str) -> None:
        """Have the namespace forget a blob.

        Raises:
            NotFound: it does not name it.
        """
        await self._worker.call(
            "metadata.blob_forget",
            internal.BlobForget(digest=digest),
            Empty,
            namespace=call.namespace,
            key=call.derive("forget"),
            lease=call.lease,
            timeout_s=_TIMEOUT_S,
        )
