"""`content.put`: a blob that is small enough for one message, stored in one call.

No ingest is made: the bytes are verified, written to a temporary file, synced and renamed, and the request is passed on
to metadata, which names the blob and answers the caller. A crash before that leaves at most a blob that nobody names;
the call is then made again, and a collection removes what nobody came back for.

The blob may not be deleted between its rename and its name. Whoever deletes bytes holds the digest's lock and asks
metadata first whether anybody names them. So a put that finds the lock free does all its work in one turn of the loop,
and its message to metadata is on the way before any question of a later turn; one that has to wait, or to leave the
loop, keeps the lock until metadata has answered.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Coroutine
from typing import Any

from actors.call import Call, Pass, handles
from actors.content.locks import Digests
from actors.content.names import Names
from actors.content.store import BlobStore
from actors.internal import BlobRegister
from actors.worker import Worker
from wharfie import failpoint
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.identifiers import check_digest, check_labels
from wharfie.types import content

INLINE_BYTES = 64 * 1024
"""A blob up to this size is stored in the loop as long as that is quick."""

QUICK_S = 0.0005
"""What takes longer than this on the average goes to the thread pool, where it disturbs nobody."""

_WEIGHT = 0.2
_PROBE = 64
"""One in so many goes the quick way all the same, to learn whether it has become quick."""


class Pace:
    """Whether storing in the loop is quick at present: a moving average. Pure."""

    def __init__(self) -> None:
        self._average_s = 0.0
        self._skipped = 0

    def is_quick(self) -> bool:
        """Whether the next one should be done in the loop."""
        if self._average_s < QUICK_S:
            return True
        self._skipped += 1
        if self._skipped < _PROBE:
            return False
        self._skipped = 0
        return True

    def took(self, seconds: float) -> None:
        """Tell how long one took in the loop."""
        self._average_s += (seconds - self._average_s) * _WEIGHT


class PutService:
    """The handler of `content.put`."""

    def __init__(self, worker: Worker, *, store: BlobStore, names: Names, digests: Digests) -> None:
        self._worker = worker
        self._store = store
        self._names = names
        self._digests = digests
        self._pace = Pace()

    @handles("content.put")
    def put(self, call: Call, request: content.Put) -> Pass | Coroutine[Any, Any, content.Stored]:
        """Store the payload as a blob and have the namespace name it; idempotent.

        Raises:
            InvalidArgument: no payload frame, no digest, a label that is too large.
            FailedPrecondition: the bytes have another digest.
        """
        if len(call.payload) != 1:
            raise InvalidArgument(
                f"'content.put' takes one payload frame, the blob, not {len(call.payload)}",
                details={"field": "payload"},
            )
        check_labels(request.labels)
        if request.expected:
            check_digest(request.expected, field="expected")
        data = call.payload[0]
        if len(data) > INLINE_BYTES or not self._pace.is_quick():
            return self._put(call, request, data)
        digest = _verified(data, request.expected)
        if not self._digests.is_free(digest):
            return self._put(call, request, data)
        started_s = time.perf_counter()
        self._store_new(digest, data)
        self._pace.took(time.perf_counter() - started_s)
        return Pass("metadata.blob_register", BlobRegister(digest=digest, size=len(data), labels=request.labels))

    async def _put(self, call: Call, request: content.Put, data: bytes | memoryview) -> content.Stored:
        digest = await self._worker.blocking(_verified, data, request.expected)
        async with self._digests.alone(digest):
            await self._worker.blocking(self._store_new, digest, data)
            registered = await self._names.register(call, digest, size=len(data), labels=request.labels)
        return content.Stored(new=registered.new, info=registered.info)

    def _store_new(self, digest: str, data: bytes | memoryview) -> None:
        if self._store.size(digest) != len(data):
            self._store.place([data], digest)
            failpoint.hit("content.put.placed")


def _verified(data: bytes | memoryview, expected: str) -> str:
    """The digest of a blob. Raises: FailedPrecondition."""
    algorithm = expected.partition(":")[0] or "sha256"
    digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    if expected and digest != expected:
        raise FailedPrecondition(
            f"the bytes have digest '{digest}', expected '{expected}'", details={"reason": "digest", "digest": digest}
        )
    return digest
