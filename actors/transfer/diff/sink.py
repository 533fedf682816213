"""Where a layer's tar goes: hashed, compressed, hashed again and written, in a thread of its own.

Compressing and hashing let go of the interpreter lock, so they fill a second core while the next files are read. The
same tar makes the same blob: gzip by zlib, whose output does not depend on the processor, with an empty header.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import zlib
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Self

_CHUNK_BYTES = 256 * 1024
_QUEUE_CHUNKS = 16
_GZIP_LEVEL = 6
_GZIP_WITH_HEADER = 31
_ZSTD_LEVEL = 3


class Compression(StrEnum):
    """What a layer is compressed with."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class Written(NamedTuple):
    """What came of it: the blob, and the tar in it."""

    digest: str
    size: int
    diff_id: str
    diff_size: int


class Sink:
    """Takes a tar in pieces; a context manager that ends its thread. Does not own the descriptor it writes to."""

    def __init__(self, fd: int, compression: Compression) -> None:
        self._fd = fd
        self._compressor = _compressor(compression)
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._plain_size = self._packed_size = 0
        self._pending: list[bytes | memoryview] = []
        self._pending_bytes = 0
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUE_CHUNKS)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sink", daemon=True)
        self._thread.start()

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes, which must not change any more.

        Raises: what kept earlier ones from being written, `OSError` for a full disk.
        """
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _CHUNK_BYTES:
            self._flush()

    def finish(self) -> Written:
        """Write what is left, and tell what it became. The last call."""
        self._flush()
        self.close()
        self._check()
        return Written(
            digest=f"sha256:{self._packed.hexdigest()}",
            size=self._packed_size,
            diff_id=f"sha256:{self._plain.hexdigest()}",
            diff_size=self._plain_size,
        )

    def close(self) -> None:
        """End the thread when it has done all it was given. Idempotent."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _flush(self) -> None:
        self._check()
        if self._pending:
            self._queue.put(b"".join(self._pending))
            self._pending, self._pending_bytes = [], 0

    def _work(self) -> None:
        # After a failure the queue is still emptied: whoever puts must not wait for ever.
        while (chunk := self._queue.get()) is not None:
            if self._failure is None:
                try:
                    self._take(chunk)
                except BaseException as error:
                    self._failure = error
        if self._failure is None:
            try:
                self._put(self._compressor.flush() if self._compressor else b"")
            except BaseException as error:
                self._failure = error

    def _take(self, chunk: bytes) -> None:
        self._plain.update(chunk)
        self._plain_size += len(chunk)
        self._put(self._compressor.compress(chunk) if self._compressor else chunk)

    def _put(self, data: bytes) -> None:
        self._packed.update(data)
        self._packed_size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


def _compressor(compression: Compression) -> Any:
    match compression:
        case Compression.NONE:
            return None
        case Compression.GZIP:
            return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WITH_HEADER)
        case Compression.ZSTD:
            import zstandard

            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compressobj()
