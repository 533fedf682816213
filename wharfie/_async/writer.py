"""Filling an ingest with several writes on their way at once."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from wharfie import errors
from wharfie._async.base import Caller
from wharfie.lending import Memory
from wharfie.types import content as t

CHUNK_BYTES = 2 * 1024 * 1024
"""Bytes in one `content.write`."""

WINDOW_BYTES = 3 * CHUNK_BYTES
"""Bytes that may be on their way: the daemon stores one piece while the next ones come."""


LEND_BYTES = 256 * 1024
"""A larger piece is lent to a daemon on the same machine rather than sent; see `wharfie.lending`."""

_PIECES = WINDOW_BYTES // CHUNK_BYTES + 1


class _Sent(NamedTuple):
    request: t.Write
    data: bytes | memoryview
    pending: Any


class Writer:
    """Grows one ingest at its end. Made by `client.content.writer`; from one task or thread at a time.

    Other writers are kept away from the ref until this one has committed or is closed, or its process is gone. The
    ingest outlives it: one that was not committed can be gone on with later, from `offset`.

    Attributes:
        offset: where the next byte goes; what was written before may still be on its way.
    """

    def __init__(
        self, caller: Caller, ref: str, *, name: str = "", offset: int = 0, total: int = 0, expected: str = ""
    ) -> None:
        self.ref = ref
        self._name = name
        self._holds = bool(name)
        self.offset = offset
        self._caller = caller
        self._total = total
        self._expected = expected
        self._sent: deque[_Sent] = deque()
        self._on_way_bytes = 0
        self._memory: Memory | None = None
        self._may_lend = not caller.channel.address.startswith("tcp://")

    @property
    def stored(self) -> int:
        """How many bytes are known to be there: those whose writes have been answered."""
        return self.offset - self._on_way_bytes

    async def write(self, data: bytes | memoryview) -> None:
        """Append bytes, which may not change before `flush`; returns when there is room for more on the way.

        Raises:
            AlreadyExists: the namespace has the expected blob.
            WharfieError: of this or of an earlier write.
        """
        view = memoryview(data)
        while view:
            piece = view[:CHUNK_BYTES]
            view = view[len(piece) :]
            await self._send(piece)
            self.offset += len(piece)
            self._on_way_bytes += len(piece)
            # Not more pieces than there is room to lend, however small they are.
            while self._on_way_bytes >= WINDOW_BYTES or len(self._sent) >= _PIECES:
                await self._confirm()

    async def truncate(self) -> None:
        """Begin anew with no bytes, also when there are none yet, and when a write has failed."""
        while self._sent:
            # Whatever became of them: nothing of them shall stay.
            with contextlib.suppress(errors.WharfieError):
                await self._caller.finish(self._sent.popleft().pending, t.Status)
        self._on_way_bytes = 0
        self.offset = 0
        await self._send(b"")
        await self.flush()

    async def flush(self) -> None:
        """Wait until everything written has been taken in."""
        while self._sent:
            await self._confirm()

    async def commit(self, *, size: int = 0, expected: str = "", labels: Mapping[str, str] | None = None) -> t.Info:
        """Make the ingest a blob; what it has to be is by default what `client.content.writer` was told.

        Raises:
            FailedPrecondition: size or digest differ; the ingest stays.
            AlreadyExists: the namespace had the blob; the ingest is dropped.
        """
        await self.flush()
        request = t.Commit(
            ref=self.ref,
            size=size or self.offset,
            expected=expected or self._expected,
            labels=dict(labels or {}),
            writer=self._name,
        )
        self._holds = False
        return await self._caller.call("content.commit", request, t.Info, timeout_s=None)

    async def close(self) -> None:
        """Forget what is on its way and let go of the ref; the ingest stays. Idempotent."""
        while self._sent:
            await self._caller.drop(self._sent.popleft().pending)
        self._on_way_bytes = 0
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._holds:
            self._holds = False
            # Without an answer the ref becomes free a little later, by itself.
            with contextlib.suppress(errors.WharfieError):
                await self._caller.call("content.write", t.Write(ref=self.ref, writer=self._name, done=True), t.Status)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, data: bytes | memoryview) -> None:
        self._holds = bool(self._name)
        request = t.Write(
            ref=self.ref, offset=self.offset, total=self._total, expected=self._expected, writer=self._name
        )
        # What is small enough to be sent in one piece is not worth a file in memory.
        memory = self._room() if self.offset and len(data) > LEND_BYTES else None
        if memory is None:
            pending = await self._caller.begin("content.write", request, payload=[data])
        else:
            lending = msgspec.structs.replace(request, lent=memory.put(data))
            pending = await self._caller.begin("content.write", lending)
        self._sent.append(_Sent(request, data, pending))

    def _room(self) -> Memory | None:
        """The memory to lend pieces in, made when it is first needed; None where there can be none."""
        if self._memory is None and self._may_lend:
            try:
                self._memory = Memory(piece_bytes=CHUNK_BYTES, count=_PIECES)
            except (OSError, AttributeError):
                self._may_lend = False
        return self._memory if self._may_lend else None

    async def _confirm(self) -> None:
        """Wait for the oldest write."""
        request, data, pending = self._sent.popleft()
        self._on_way_bytes -= len(data)
        overtook = False
        while True:
            try:
                await self._caller.finish(pending, t.Status)
            except errors.OutOfRange as error:
                # Once: it overtook a write that had to be sent twice, and all before it have arrived now.
                if overtook or int(error.details.get("offset", request.offset)) >= request.offset:
                    raise
                overtook = True
            except errors.FailedPrecondition as error:
                if error.details.get("reason") != "lent":
                    raise
                self._may_lend = False
            else:
                return
            pending = await self._caller.begin("content.write", request, payload=[data])
