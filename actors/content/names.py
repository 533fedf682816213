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

    async def register(self, call: Call, digest: str, *, size: int, labels: Labels) -> internal.BlobRegistered:
        """Have the namespace name a blob whose bytes are in place; tells whether that is new to it."""
        return await self._worker.call(
            "metadata.blob_register",
            internal.BlobRegister(digest=digest, size=size, labels=labels),
            internal.BlobRegistered,
            namespace=call.namespace,
            key=call.derive("register"),
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
            timeout_s=_TIMEOUT_S,
        )
