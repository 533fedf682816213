"""`client.content`: blobs by digest."""

from __future__ import annotations

import builtins
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import IO

import msgspec

from wharfie import errors
from wharfie._async.base import UNSET, Service
from wharfie._async.writer import CHUNK_BYTES, Writer
from wharfie.types import content as t


class Content(Service):
    """The blobs that a namespace names."""

    async def info(self, digest: str, *, timeout_s: float | None = UNSET) -> t.Info:
        """Size, labels and times of a blob."""
        return await self._caller.call("content.info", t.GetInfo(digest=digest), t.Info, timeout_s=timeout_s)

    async def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Info]:
        """All blobs that match any filter, by digest."""
        return (
            await self._caller.call("content.list", t.List(filters=[*filters]), t.Listing, timeout_s=timeout_s)
        ).blobs

    async def update(
        self,
        digest: str,
        labels: Mapping[str, str],
        *,
        mask: Sequence[str] = (),
        timeout_s: float | None = UNSET,
    ) -> t.Info:
        """Change a blob's labels; `mask` (paths `labels.K`) says which; an empty value deletes one."""
        request = t.Update(digest=digest, labels=dict(labels), mask=[*mask])
        return await self._caller.call("content.update", request, t.Info, timeout_s=timeout_s)

    async def delete(self, digest: str, *, timeout_s: float | None = UNSET) -> None:
        """Make this namespace forget a blob."""
        await self._caller.tell("content.delete", t.Delete(digest=digest), timeout_s=timeout_s)

    async def read(self, digest: str, *, offset: int = 0, size: int = 0, timeout_s: float | None = UNSET) -> bytes:
        """A blob's bytes, or a range of them, in memory."""
        parts = [bytes(part) async for part in self.stream(digest, offset=offset, size=size, timeout_s=timeout_s)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def stream(
        self, digest: str, *, offset: int = 0, size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[memoryview | bytes]:
        """A blob's bytes in pieces, in order; goes on where it was when a worker dies."""
        request = t.Read(digest=digest, offset=offset, size=size)
        async for _, data in self._caller.stream(
            "content.read", request, t.Chunk, resume=_behind, timeout_s=self._caller.limit(timeout_s)
        ):
            yield data

    async def write(
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
        return await self._caller.call("content.write", request, t.Status, payload=[data], timeout_s=timeout_s)

    async def commit(
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
        return await self._caller.call("content.commit", request, t.Info, timeout_s=timeout_s)

    async def status(self, ref: str, *, timeout_s: float | None = UNSET) -> t.Status:
        """How far an ingest is."""
        return await self._caller.call("content.status", t.GetStatus(ref=ref), t.Status, timeout_s=timeout_s)

    async def statuses(
        self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET
    ) -> builtins.list[t.Status]:
        """All ingests of the namespace."""
        request = t.ListStatuses(filters=[*filters])
        return (await self._caller.call("content.statuses", request, t.Statuses, timeout_s=timeout_s)).statuses

    async def abort(self, ref: str, *, timeout_s: float | None = UNSET) -> None:
        """Drop an ingest and its bytes."""
        await self._caller.tell("content.abort", t.Abort(ref=ref), timeout_s=timeout_s)

    async def truncate(self, ref: str, *, timeout_s: float | None = UNSET) -> t.Status:
        """Empty an ingest, which is made when new."""
        return await self.write(ref, b"", timeout_s=timeout_s)

    async def writer(self, ref: str, *, total: int = 0, expected: str = "", timeout_s: float | None = UNSET) -> Writer:
        """Open an ingest for writing, a new one or one that was left; it goes on at `writer.offset`.

        Waits while another writer has the ref.

        Raises:
            AlreadyExists: the namespace has the expected blob.
            Unavailable: another writer had the ref all the time.
        """
        name = os.urandom(12).hex()
        request = t.Write(ref=ref, total=total, expected=expected, writer=name)
        status = await self._caller.call("content.write", request, t.Status, timeout_s=timeout_s)
        return Writer(self._caller, ref, name=name, offset=status.offset, total=total, expected=expected)

    async def put(
        self,
        data: bytes | memoryview,
        *,
        expected: str = "",
        labels: Mapping[str, str] | None = None,
        timeout_s: float | None = UNSET,
    ) -> t.Stored:
        """Store a small blob in one call; one that is there already is no error."""
        request = t.Put(expected=expected, labels=dict(labels or {}))
        return await self._caller.call("content.put", request, t.Stored, payload=[data], timeout_s=timeout_s)

    async def ingest(
        self,
        source: bytes | memoryview | IO[bytes],
        *,
        ref: str = "",
        size: int = 0,
        expected: str = "",
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> t.Info:
        """A blob from bytes or a binary stream, in one call. One that is there already is no error.

        Args:
            source: read to its end, in large pieces.
            ref: names the ingest, which is kept when this fails; with `expected`, an ingest that was left is gone on
                with, and as many bytes of the source are skipped. Without a ref nothing is kept.
            size: how many bytes they must be; 0: as many as come.
            expected: the digest that the bytes must have.
            labels: of the blob; merged into those that one has that is there already.
            on_progress: told how many bytes have been sent.
        """
        pieces = _pieces(source)
        first = next(pieces, b"")
        second = next(pieces, b"") if len(first) == CHUNK_BYTES else b""
        if not second and not ref and size in (0, len(first)):
            info = (await self.put(first, expected=expected, labels=labels)).info
            if on_progress is not None:
                on_progress(len(first))
            return info
        total = size or (len(source) if isinstance(source, (bytes, memoryview)) else 0)
        try:
            writer = await self._open(ref, total=total, expected=expected)
        except errors.AlreadyExists:
            return await self._labelled(expected, labels)
        try:
            async with writer:
                await _fill(writer, chain((first, second), pieces), on_progress)
                if not writer.offset:
                    await writer.truncate()  # or there would be no ingest that the commit could tell of
                return await writer.commit(size=size, labels=labels)
        except errors.AlreadyExists as error:
            return await self._labelled(str(error.details.get("digest") or expected), labels)
        except BaseException:
            if not ref:
                with contextlib.suppress(errors.WharfieError):
                    await self.abort(writer.ref)
            raise

    async def upload(self, source: IO[bytes]) -> str:
        """An ingest from a binary stream, not committed; returns its ref."""
        writer = await self._open("", total=0, expected="")
        async with writer:
            await _fill(writer, _pieces(source), None)
            await writer.flush()
        return writer.ref

    async def check(
        self, *, image: str = "", remove_damaged: bool = False, timeout_s: float | None = None
    ) -> AsyncIterator[t.Checked]:
        """Have the bytes of blobs read and compared with their digests: all of the namespace, or those of an image.

        Goes on where it was when a worker dies.

        Args:
            image: a name.
            remove_damaged: delete damaged bytes; the names stay, and writing such a blob again replaces the bytes.
            timeout_s: for all of it.
        """
        request = t.Check(image=image, remove_damaged=remove_damaged)
        async for item, _ in self._caller.stream(
            "content.check", request, t.Checked, resume=_after, timeout_s=self._caller.limit(timeout_s)
        ):
            yield item

    async def _open(self, ref: str, *, total: int, expected: str) -> Writer:
        if not ref:
            # Nobody else has this ref: nothing needs to be asked.
            return Writer(self._caller, f"upload-{os.urandom(12).hex()}", total=total, expected=expected)
        writer = await self.writer(ref, total=total, expected=expected)
        if not expected:
            await writer.truncate()
        return writer

    async def _labelled(self, digest: str, labels: Mapping[str, str] | None) -> t.Info:
        """A blob that was there already, with these labels as well."""
        if not labels:
            return await self.info(digest)
        return await self.update(digest, labels, mask=[f"labels.{key}" for key in labels])


def _pieces(source: bytes | memoryview | IO[bytes]) -> Iterator[bytes | memoryview]:
    """All of a source in pieces of `CHUNK_BYTES`, the last one maybe smaller."""
    if isinstance(source, (bytes, memoryview)):
        view = memoryview(source)
        yield from (view[at : at + CHUNK_BYTES] for at in range(0, len(view), CHUNK_BYTES))
        return
    while True:
        data = source.read(CHUNK_BYTES)
        while data and len(data) < CHUNK_BYTES and (more := source.read(CHUNK_BYTES - len(data))):
            data += more
        if not data:
            return
        yield data


async def _fill(
    writer: Writer, pieces: Iterable[bytes | memoryview], on_progress: Callable[[int], None] | None
) -> None:
    """Write what comes after the writer's offset."""
    skip = writer.offset
    for piece in pieces:
        fresh = piece[skip:]
        skip -= len(piece) - len(fresh)
        await writer.write(fresh)
        if on_progress is not None:
            on_progress(writer.offset)
    if skip:
        raise errors.OutOfRange(
            f"ref '{writer.ref}' has {writer.offset} bytes, {skip} more than the source; abort it or truncate it",
            details={"offset": writer.offset},
        )


def _after(request: t.Check, item: t.Checked, _length: int) -> t.Check:
    """The request for what follows an item."""
    return msgspec.structs.replace(request, after=item.digest)


def _behind(request: t.Read, chunk: t.Chunk, length: int) -> t.Read:
    """The request for what follows a chunk."""
    offset = chunk.offset + length
    size = request.size - (offset - request.offset) if request.size else 0
    return msgspec.structs.replace(request, offset=offset, size=size)
