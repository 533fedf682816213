"""One blob, from the registry into an ingest of the content store, in a thread of the fetcher.

The ingest is what survives: a fetcher that finds one goes on behind its last byte. The content worker hashes what comes
and commits only what has the digest. Bytes that turn out to be wrong are thrown away and fetched once more, from the
beginning, since they may be an earlier attempt's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from actors.transfer.fetching.inflow import Inflow
from actors.transfer.fetching.pieces import NoRanges, Note, Open, Piece, Ranges, in_order
from wharfie import failpoint
from wharfie._sync.client import Client
from wharfie._sync.writer import Writer
from wharfie.errors import AlreadyExists, DataLoss, FailedPrecondition, NotFound
from wharfie.oci.descriptor import Descriptor
from wharfie.types.base import Labels

SMALL_BYTES = 256 * 1024
"""Up to this size a blob is stored in one call, and not seen before all of it is there."""

_TRIES = 2


class Download:
    """Brings one blob into the content store.

    Args:
        client: whose calls hold what they make by the pull's lease.
        open_at: asks the registry.
        ranges: parts fetched at the same time, each of `range_bytes`.
        arrived: told how many bytes are stored, also when it becomes fewer.
        note: told why something is done again.
    """

    def __init__(
        self,
        client: Client,
        descriptor: Descriptor,
        *,
        open_at: Open,
        ranges: int,
        range_bytes: int,
        arrived: Callable[[int], None],
        note: Note,
    ) -> None:
        self._client = client
        self._descriptor = descriptor
        self._open_at = open_at
        self._ranges = ranges
        self._range_bytes = range_bytes
        self._arrived = arrived
        self._note = note
        self._told = 0

    def run(self, ref: str, labels: Labels) -> None:
        """Have the blob in the namespace, with these labels. Idempotent.

        Raises:
            DataLoss: the registry has other bytes than the digest says.
            WharfieError: what the registry or the daemon refused.
        """
        digest = self._descriptor.digest
        try:
            if self._descriptor.size <= SMALL_BYTES:
                self._small(labels)
            else:
                self._large(ref, labels)
        except AlreadyExists:
            if labels:
                self._client.content.update(digest, labels, mask=[f"labels.{key}" for key in labels])

    def _small(self, labels: Labels) -> None:
        size = self._descriptor.size
        data = joined(in_order(self._open_at, offset=0, size=size, note=self._note))
        failpoint.hit("transfer.fetch.before-put")
        try:
            self._client.content.put(data, expected=self._descriptor.digest, labels=labels, timeout_s=None)
        except FailedPrecondition as error:
            raise self._wrong(error) from None
        self._arrived(size)

    def _large(self, ref: str, labels: Labels) -> None:
        for attempt in range(_TRIES):
            try:
                self._attempt(ref, labels)
            except FailedPrecondition as error:
                if error.details.get("reason") not in {"digest", "size", "shared"}:
                    raise
                with contextlib.suppress(NotFound):
                    self._client.content.abort(ref)
                self._told = 0
                self._arrived(0)
                if attempt == _TRIES - 1:
                    raise self._wrong(error) from None
                self._note(error.message)
            else:
                return

    def _attempt(self, ref: str, labels: Labels) -> None:
        size = self._descriptor.size
        with self._client.content.writer(ref, total=size, expected=self._descriptor.digest, timeout_s=None) as writer:
            if writer.offset > size:
                writer.truncate()
            failpoint.hit("transfer.fetch.opened")
            self._tell(writer)
            with self._pieces(writer.offset) as pieces:
                try:
                    self._fill(writer, pieces)
                except NoRanges as error:
                    self._note(error.message)
                    self._fill(writer, in_order(self._open_at, offset=writer.offset, size=size, note=self._note))
            writer.flush()
            self._tell(writer)
            failpoint.hit("transfer.fetch.before-commit")
            writer.commit(size=size, labels=labels)
            failpoint.hit("transfer.fetch.after-commit")

    @contextlib.contextmanager
    def _pieces(self, offset: int) -> Iterator[Iterator[Piece]]:
        size = self._descriptor.size
        if self._ranges > 1 and size - offset > self._range_bytes:
            with Ranges(
                self._open_at,
                offset=offset,
                size=size,
                at_once=self._ranges,
                range_bytes=self._range_bytes,
                note=self._note,
            ) as pieces:
                yield pieces
        else:
            yield in_order(self._open_at, offset=offset, size=size, note=self._note)

    def _fill(self, writer: Writer, pieces: Iterator[Piece]) -> None:
        with Inflow(pieces) as inflow:
            while (data := inflow.take()) is not None:
                if data:
                    writer.write(data)
                    failpoint.hit("transfer.fetch.piece")
                else:
                    # The registry takes its time; what has come shall be seen meanwhile.
                    writer.flush()
                    self._tell(writer)
                    inflow.wait()
                self._tell(writer)

    def _tell(self, writer: Writer) -> None:
        if writer.stored != self._told:
            self._told = writer.stored
            self._arrived(writer.stored)

    def _wrong(self, error: FailedPrecondition) -> DataLoss:
        digest = self._descriptor.digest
        return DataLoss(
            f"the registry has other bytes for '{digest}': {error.message}; it or what is in between is broken",
            details={"digest": digest, **({"found": error.details["digest"]} if "digest" in error.details else {})},
        )


def joined(pieces: Iterator[Piece]) -> bytes:
    """All of a small blob."""
    return b"".join(piece.buffer[piece.start : piece.end] for piece in pieces)
