"""`content.read`: a blob's bytes as a stream of items, at the pace of the reader."""

from __future__ import annotations

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
        """
        digest = check_digest(request.digest)
        offset = check_count(request.offset, field="offset")
        wanted = check_count(request.size, field="size")
        fd = self._open(call, digest)
        try:
            # Asked with the blob open: what is named now stays readable whatever happens next.
            if not (await self._names.of(digest, namespace=call.namespace)).here:
                raise _not_found(call, digest)
            size = os.fstat(fd).st_size
            if offset > size:
                raise OutOfRange(
                    f"blob '{digest}' has {size} bytes, cannot be read from {offset}",
                    details={"field": "offset", "size": size},
                )
            end = min(size, offset + wanted) if wanted else size
            while offset < end:
                data = await self._worker.blocking(os.pread, fd, min(self._chunk_bytes, end - offset), offset)
                if not data:
                    raise DataLoss(f"blob '{digest}' ends at byte {offset}, it had {size}")
                yield Reply(content.Chunk(offset=offset), [data])
                offset += len(data)
        finally:
            os.close(fd)

    def _open(self, call: Call, digest: str) -> int:
        try:
            return self._store.open(digest)
        except FileNotFoundError:
            raise _not_found(call, digest) from None


def _not_found(call: Call, digest: str) -> NotFound:
    return NotFound(f"blob '{digest}' not found in namespace '{call.namespace}'", details={"digest": digest})
