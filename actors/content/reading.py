"""`content.read`: a blob's bytes as a stream of items, at the pace of the reader."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator

from actors.call import Call, Reply, handles
from actors.content.names import Names
from actors.content.store import BlobStore
from actors.worker import Worker
from wharfie.errors import DataLoss, NotFound, OutOfRange
from wharfie.identifiers import check_count, check_digest
from wharfie.types import content


class ReadService:
    """The one handler that streams.

    Args:
        chunk_bytes: payload of one item.
    """

    def __init__(self, worker: Worker, *, store: BlobStore, names: Names, chunk_bytes: int) -> None:
        self._worker = worker
        self._store = store
        self._names = names
        self._chunk_bytes = chunk_bytes

    @handles("content.read")
    async def read(self, call: Call, request: content.Read) -> AsyncIterator[Reply]:
        """The bytes from an offset on, in order. A blob that is deleted meanwhile is read to its end all the same.

        Raises:
            NotFound: the namespace does not name it.
            OutOfRange: the offset is beyond its end.
            DataLoss: its bytes are not there, or are not as many as they were.
        """
        digest = check_digest(request.digest)
        offset = check_count(request.offset, field="offset")
        wanted = check_count(request.size, field="size")
        fd = await self._open(call, digest)
        try:
            # Asked with the blob open: what is named now stays readable whatever happens next.
            names = await self._names.of(digest, namespace=call.namespace)
            if not names.here:
                raise _not_found(call, digest)
            size = os.fstat(fd).st_size
            if size != names.size:
                raise _lost(digest, f"has {size} bytes, not {names.size}")
            if offset > size:
                raise OutOfRange(
                    f"blob '{digest}' has {size} bytes, cannot be read from {offset}",
                    details={"field": "offset", "size": size},
                )
            end = min(size, offset + wanted) if wanted else size
            while offset < end:
                data = await self._worker.blocking(os.pread, fd, min(self._chunk_bytes, end - offset), offset)
                if not data:
                    raise _lost(digest, f"ends at byte {offset}, it had {size}")
                yield Reply(content.Chunk(offset=offset), [data])
                offset += len(data)
        finally:
            os.close(fd)

    async def _open(self, call: Call, digest: str) -> int:
        try:
            return self._store.open(digest)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP):
                raise
            if (await self._names.of(digest, namespace=call.namespace)).here:
                raise _lost(digest, "has no bytes") from None
            raise _not_found(call, digest) from None


def _not_found(call: Call, digest: str) -> NotFound:
    return NotFound(f"blob '{digest}' not found in namespace '{call.namespace}'", details={"digest": digest})


def _lost(digest: str, what: str) -> DataLoss:
    return DataLoss(
        f"blob '{digest}' is damaged, it {what}; store it again, or see 'wharfie content check --repair'",
        details={"digest": digest},
    )
