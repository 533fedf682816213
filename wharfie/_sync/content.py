# Made from wharfie/_async/content.py by scripts/unasync.py; change that file and run it again.
"""`client.content`: blobs by digest."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import msgspec

from wharfie import errors
from wharfie._sync.base import UNSET, Service
from wharfie.types import content as t

CHUNK_BYTES = 1024 * 1024
"""Bytes in one `content.write`."""


class Content(Service):
    """The blobs that a namespace names."""

    def info(self, digest: str, *, timeout_s: float | None = UNSET) -> t.Info:
        """Size, labels and times of a blob."""
        return self._caller.call("content.info", t.GetInfo(digest=digest), t.Info, timeout_s=timeout_s)

    def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Info]:
        """All blobs that match any filter, by digest."""
        return (self._caller.call("content.list", t.List(filters=[*filters]), t.Listing, timeout_s=timeout_s)).blobs

    def update(
        self,
        digest: str,
        labels: Mapping[str, str],
        *,
        mask: Sequence[str] = (),
        timeout_s: float | None = UNSET,
    ) -> t.Info:
        """Change a blob's labels; `mask` (paths `labels.K`) says which; an empty value deletes one."""
        request = t.Update(digest=digest, labels=dict(labels), mask=[*mask])
        return self._caller.call("content.update", request, t.Info, timeout_s=timeout_s)

    def delete(self, digest: str, *, timeout_s: float | None = UNSET) -> None:
        """Make this namespace forget a blob."""
        self._caller.tell("content.delete", t.Delete(digest=digest), timeout_s=timeout_s)

    def read(self, digest: str, *, offset: int = 0, size: int = 0, timeout_s: float | None = UNSET) -> bytes:
        """A blob's bytes, or a range of them, in memory."""
        parts = [bytes(part) for part in self.stream(digest, offset=offset, size=size, timeout_s=timeout_s)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stream(
        self, digest: str, *, offset: int = 0, size: int = 0, timeout_s: float | None = None
    ) -> Iterator[memoryview | bytes]:
        """A blob's bytes in pieces, in order; goes on where it was when a worker dies."""
        request = t.Read(digest=digest, offset=offset, size=size)
        for _, data in self._caller.stream(
            "content.read", request, t.Chunk, resume=_behind, timeout_s=self._caller.limit(timeout_s)
        ):
            yield data

    def write(
        self,
        ref: str,
        data: bytes | memoryview,
        *,
        offset: int = 0,
        total: int = 0,
        expected: str = "",
        timeout_s: float | None = UNSET,
    ) -> t.Status:
        """Put bytes at an offset of an ingest, which is made when new."""
        request = t.Write(ref=ref, offset=offset, total=total, expected=expected)
        return self._caller.call("content.write", request, t.Status, payload=[data], timeout_s=timeout_s)

    def commit(
        self,
        ref: str,
        *,
        size: int = 0,
        expected: str = "",
        labels: Mapping[str, str] | None = None,
        timeout_s: float | None = UNSET,
    ) -> t.Info:
        """Make an ingest a blob, if size and digest are as expected."""
        request = t.Commit(ref=ref, size=size, expected=expected, labels=dict(labels or {}))
        return self._caller.call("content.commit", request, t.Info, timeout_s=timeout_s)

    def status(self, ref: str, *, timeout_s: float | None = UNSET) -> t.Status:
        """How far an ingest is."""
        return self._caller.call("content.status", t.GetStatus(ref=ref), t.Status, timeout_s=timeout_s)

    def statuses(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Status]:
        """All ingests of the namespace."""
        request = t.ListStatuses(filters=[*filters])
        return (self._caller.call("content.statuses", request, t.Statuses, timeout_s=timeout_s)).statuses

    def abort(self, ref: str, *, timeout_s: float | None = UNSET) -> None:
        """Drop an ingest and its bytes."""
        self._caller.tell("content.abort", t.Abort(ref=ref), timeout_s=timeout_s)

    def ingest(
        self, source: bytes | IO[bytes], *, expected: str = "", labels: Mapping[str, str] | None = None
    ) -> t.Info:
        """A blob from bytes or a binary stream, in one call. One that is there already is no error."""
        if isinstance(source, bytes):
            import hashlib

            expected = expected or f"sha256:{hashlib.sha256(source).hexdigest()}"
        ref = f"upload-{expected or os.urandom(12).hex()}"
        try:
            offset = self._send(ref, source, expected=expected)
            return self.commit(ref, size=offset, expected=expected, labels=labels)
        except errors.AlreadyExists as error:
            return self.info(str(error.details.get("digest") or expected))

    def upload(self, source: IO[bytes]) -> str:
        """An ingest from a binary stream, not committed; returns its ref."""
        ref = f"upload-{os.urandom(12).hex()}"
        self._send(ref, source, expected="")
        return ref

    def _send(self, ref: str, source: bytes | IO[bytes], *, expected: str) -> int:
        offset = 0
        total = len(source) if isinstance(source, bytes) else 0
        while True:
            if isinstance(source, bytes):
                data: bytes | memoryview = memoryview(source)[offset : offset + CHUNK_BYTES]
            else:
                data = source.read(CHUNK_BYTES)
            if not data and offset:
                return offset
            self.write(ref, data, offset=offset, total=total, expected=expected)
            offset += len(data)
            if not data:
                return offset


def _behind(request: t.Read, chunk: t.Chunk, length: int) -> t.Read:
    """The request for what follows a chunk."""
    offset = chunk.offset + length
    size = request.size - (offset - request.offset) if request.size else 0
    return msgspec.structs.replace(request, offset=offset, size=size)
