"""A layer's uncompressed stream, made and hashed in threads of its own.

Uncompressing and hashing let go of the interpreter lock, so they fill a second core while the caller's thread applies
entries. Both queues are short: memory is bounded whatever the layer is.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from types import TracebackType
from typing import Self

from actors.transfer.unpack import compression, limits
from actors.transfer.unpack.compression import Blob
from actors.transfer.unpack.errors import UnpackError, from_os_error
from actors.transfer.unpack.growth import Growth
from actors.transfer.unpack.limits import Limits
from wharfie.errors import Code

QUEUE_CHUNKS = 32
"""Chunks that may wait for each of the two readers; each has at most `compression.CHUNK_BYTES`."""


class LayerStream:
    """The stream of one blob; a context manager that ends its threads, in the middle of the stream too.

    `next_chunk` is for one thread. `diff_id` and `size_bytes` are right once it has returned the end.
    """

    def __init__(
        self,
        blob_fd: int,
        *,
        media_type: str,
        bounds: Limits,
        offset: int = 0,
        length: int | None = None,
        growth: Growth | None = None,
    ) -> None:
        """Start reading at the blob's beginning, `offset` of `blob_fd`, which stays the caller's.

        With `growth` not all of it is there yet, and `length` is known.

        Raises `UnpackError` when the compression is one that cannot be read.
        """
        self._growth = growth
        self._blob = Blob(blob_fd, offset=offset, length=length, growth=growth)
        self._kind = compression.detect(media_type, self._blob.head())
        self._bounds = bounds
        self._chunks: queue.Queue[bytes | UnpackError] = queue.Queue(QUEUE_CHUNKS)
        self._to_hash: queue.Queue[bytes] = queue.Queue(QUEUE_CHUNKS)
        self._hash = hashlib.sha256()
        self._ended = False
        self._stopped = False
        self.size_bytes = 0
        self._threads = (
            threading.Thread(target=self._uncompress, name="uncompress", daemon=True),
            threading.Thread(target=self._digest, name="digest", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def consumed_bytes(self) -> int:
        """How much of the blob has been read; grows while the stream is used."""
        return self._blob.consumed

    @property
    def diff_id(self) -> str:
        """The digest of the whole stream; call it after the end."""
        self._threads[1].join()
        return "sha256:" + self._hash.hexdigest()

    def next_chunk(self) -> bytes:
        """Return the next chunk, an empty one at the end. Raises `UnpackError` for a corrupt blob or a limit."""
        if self._ended:
            return b""
        chunk = self._chunks.get()
        if isinstance(chunk, UnpackError):
            self._ended = True
            raise chunk
        if not chunk:
            self._ended = True
        return chunk

    def close(self) -> None:
        """End the threads; idempotent."""
        self._stopped = True
        if self._growth is not None:
            self._growth.stop()
        while self._threads[0].is_alive():
            # Whoever waits to put a chunk gets room, sees that it is over and ends.
            try:
                self._chunks.get(timeout=0.01)
            except queue.Empty:
                continue
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _uncompress(self) -> None:
        end: bytes | UnpackError = b""
        try:
            for chunk in compression.chunks(self._blob, self._kind):
                if self._stopped:
                    break
                self._count(len(chunk))
                self._to_hash.put(chunk)
                self._chunks.put(chunk)
        except UnpackError as error:
            end = error
        except OSError as error:
            end = from_os_error(error)
        except Exception as error:
            # Whatever it is, a stream that broke off must not look like one that ended.
            end = UnpackError(Code.INTERNAL, f"layer cannot be uncompressed: {error!r}")
        finally:
            self._to_hash.put(b"")
            self._chunks.put(end)

    def _count(self, size: int) -> None:
        self.size_bytes += size
        bounds = self._bounds
        if self.size_bytes > bounds.total_bytes:
            raise limits.exceeded("total_bytes", bounds.total_bytes)
        if self.size_bytes > bounds.ratio_floor_bytes and self.size_bytes > bounds.ratio * self._blob.consumed:
            raise limits.exceeded("ratio", bounds.ratio, unit="to 1")

    def _digest(self) -> None:
        while chunk := self._to_hash.get():
            self._hash.update(chunk)
