"""The methods of the wire that write, commit, abort and delete.

An ingest's life: the first `content.write` of a ref makes it, further ones grow it at its end, `content.commit` makes
it a blob, `content.abort` drops it. It survives any restart. What has begun is finished even when the caller goes away:
a request that is cancelled or repeated never leaves a thread writing behind the back of the next one.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any, TypeVar

from actors import internal
from actors.call import Call, handles
from actors.content import borrowing, writing
from actors.content.collecting import UNLEASED_NS, Collecting
from actors.content.committing import KEPT_S, Commits, already_exists
from actors.content.holders import Holders
from actors.content.ingest import Ingest
from actors.content.ingests import Ingests
from actors.content.locks import Digests, Slots
from actors.content.names import Names
from actors.content.store import BlobStore, remove_directory, remove_files
from actors.worker import Worker
from wharfie import failpoint
from wharfie.errors import AlreadyExists, NotFound, OutOfRange
from wharfie.filters import FieldPath, Filters
from wharfie.identifiers import check_count, check_digest, check_labels, check_name
from wharfie.types import content
from wharfie.types.base import Empty

T = TypeVar("T")


class ContentService:
    """Handlers of the content worker for ingests, and what deletes.

    Args:
        is_isolated: a namespace gets a blob of another one only by sending its bytes, unless one that has it is
            labelled as shareable.
        unleased_ns: the age at which an ingest without a lease is dropped, if it did not grow meanwhile.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        store: BlobStore,
        ingests: Ingests,
        names: Names,
        digests: Digests,
        is_isolated: bool,
        unleased_ns: int = UNLEASED_NS,
    ) -> None:
        self._worker = worker
        self._store = store
        self._ingests = ingests
        self._names = names
        self._slots = Slots()
        self._holders = Holders()
        self._is_isolated = is_isolated
        self._commits = Commits(worker, store=store, ingests=ingests, names=names, digests=digests)
        self._collecting = Collecting(
            worker,
            store=store,
            ingests=ingests,
            names=names,
            commits=self._commits,
            slots=self._slots,
            unleased_ns=unleased_ns,
        )
        self._working: set[asyncio.Task[Any]] = set()
        self._tidying: asyncio.TimerHandle | None = None

    # -- handlers ----------------------------------------------------------------------------------------------------

    @handles("content.write")
    async def write(self, call: Call, request: content.Write) -> content.Status:
        """Write the payload at an offset of a ref; without a payload frame, only begin the ingest or tell its status.

        Raises:
            AlreadyExists: the namespace has the expected blob; the ingest is dropped.
            FailedPrecondition: lent bytes cannot be read.
            NotFound: the writer is done with a ref that has no ingest.
            OutOfRange: the offset is not where the ingest ends.
            Unavailable: another writer holds this ref, or is at work on it.
        """
        check_name(request.ref, field="ref")
        check_count(request.offset, field="offset")
        check_count(request.total, field="total")
        if request.expected:
            check_digest(request.expected, field="expected")
        name = (call.namespace, request.ref)
        self._holders.enter(name, request.writer, pid=call.pid)
        if request.done:
            self._holders.leave(name)
            if not _has_bytes(call, request):
                return self._known(call, request.ref).status()
        slot = self._slots.of(*name)
        length = sum(len(frame) for frame in call.payload)
        if request.lent is not None:
            borrowing.check(call, request.lent)
            length = request.lent.size
        admitted = _has_bytes(call, request)
        if admitted:
            slot.admit(offset=request.offset, length=length, repeated=call.attempt > 1)

        async def work() -> content.Status:
            async with slot.turn(admitted=admitted):
                try:
                    ingest = await self._ingest(call, request)
                except AlreadyExists:
                    self._holders.leave(name)
                    raise
                await self._write(call, request, ingest, length=length)
                failpoint.hit("content.write.written")
                return ingest.status()

        return await self._to_the_end(work())

    @handles("content.commit")
    async def commit(self, call: Call, request: content.Commit) -> content.Info:
        """Make the ingest a blob and have the namespace name it. Idempotent under its key.

        Raises:
            FailedPrecondition: size or digest differ; the ingest stays and can be resumed or aborted.
            AlreadyExists: the namespace had the blob; the ingest is dropped.
            Unavailable: another writer holds this ref.
        """
        check_name(request.ref, field="ref")
        check_count(request.size, field="size")
        check_labels(request.labels)
        if request.expected:
            check_digest(request.expected, field="expected")
        name = (call.namespace, request.ref)
        self._holders.enter(name, request.writer, pid=call.pid)
        # Whatever becomes of it: a writer that wants to go on after a failure takes the ref again.
        self._holders.leave(name)

        async def work() -> content.Info:
            async with self._slots.of(*name).turn():
                ingest = self._ingests.get(call.namespace, request.ref)
                try:
                    if ingest is None:
                        return await self._commits.commit_again(call, request)
                    return await self._commits.commit(call, request, ingest)
                finally:
                    self._ingests.close_idle(self._slots.is_busy)
                    self.heal()

        return await self._to_the_end(work())

    @handles("content.abort")
    async def abort(self, call: Call, request: content.Abort) -> Empty:
        """Drop an ingest and its bytes, whoever holds it. Idempotent under its key."""
        self._holders.leave((call.namespace, request.ref))

        async def work() -> Empty:
            async with self._slots.of(call.namespace, request.ref).turn():
                ingest = self._ingests.get(call.namespace, request.ref)
                if ingest is None:
                    if self._ingests.was_aborted(call.namespace, request.ref, key=call.key):
                        return Empty()
                    raise _no_ingest(call, request.ref)
                directory = self._ingests.abort(ingest, key=call.key)
            failpoint.hit("content.abort.renamed")
            await self._worker.blocking(remove_files, directory)
            self._tidy_later()
            return Empty()

        return await self._to_the_end(work())

    @handles("content.status")
    def status(self, call: Call, request: content.GetStatus) -> content.Status:
        """How far an ingest is."""
        return self._known(call, request.ref).status()

    @handles("content.statuses")
    def statuses(self, call: Call, request: content.ListStatuses) -> content.Statuses:
        """The namespace's ingests by ref."""
        filters = Filters(request.filters)
        return content.Statuses(
            statuses=[
                ingest.status()
                for ingest in self._ingests.of(call.namespace)
                if filters.matches(functools.partial(_field, ingest.record.ref))
            ]
        )

    @handles("content.delete")
    async def delete(self, call: Call, request: content.Delete) -> Empty:
        """Have the namespace forget a blob; its bytes go when no namespace names it. Idempotent under its key."""
        digest = check_digest(request.digest)
        await self._to_the_end(self._commits.delete(call, digest))
        return Empty()

    @handles("content.ingest_file")
    async def ingest_file(self, call: Call, request: internal.IngestFile) -> internal.Ingested:
        """See `internal.IngestFile`."""
        digest = check_digest(request.digest)
        check_count(request.offset, field="offset")
        check_count(request.length, field="length")
        check_labels(request.labels)
        make = functools.partial(
            self._store.copy_in, request.path, offset=request.offset, length=request.length, digest=digest
        )
        await self._to_the_end(
            self._commits.take_in(call, digest, size=request.length, make=make, labels=request.labels)
        )
        return internal.Ingested(digest=digest, size=request.length, path=self._store.path(digest))

    @handles("content.collect")
    async def collect(self, call: Call, request: internal.ContentCollect) -> internal.ContentCollected:
        """See `internal.ContentCollect`."""
        del call
        return await self._to_the_end(self._collecting.collect(request))

    # -- at start ----------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Drop what a crash interrupted, once nobody has come back for it."""
        if self._ingests.has_leftovers():
            self._tidy_later()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _known(self, call: Call, ref: str) -> Ingest:
        ingest = self._ingests.get(call.namespace, ref)
        if ingest is None:
            raise _no_ingest(call, ref)
        return ingest

    async def _ingest(self, call: Call, request: content.Write) -> Ingest:
        """The ingest of a ref; a new one when there is none."""
        ingest = self._ingests.get(call.namespace, request.ref)
        is_opening = not request.offset and not _has_bytes(call, request)
        # Who goes on with what he has begun is not asked again and again whether it is needed.
        if ingest is not None and (ingest.is_open or ingest.is_shared) and not is_opening:
            return ingest
        expected = request.expected or (ingest.record.expected if ingest else "")
        shared = ""
        # What is not on disk nobody names, so metadata is asked only about what is.
        if expected and (size := self._store.size(expected)) is not None:
            names = await self._names.claim(call, expected)
            is_whole = not names.anywhere or names.size == size
            if names.here and is_whole:
                if ingest is not None:
                    await self._worker.blocking(remove_directory, self._ingests.drop(ingest))
                raise already_exists(call.namespace, expected)
            may_share = is_whole and not names.here and (names.is_shareable or not self._is_isolated)
            # Who sends bytes with the first call has not asked whether they are needed.
            if may_share and is_opening and request.total in (0, size):
                shared = expected
        if ingest is None:
            await self._names.hold_ingest(call, request.ref)
            ingest = self._ingests.create(
                call.namespace,
                request.ref,
                total=request.total,
                expected=request.expected,
                shared=shared,
                lease=call.lease,
            )
            failpoint.hit("content.write.created")
        return ingest

    async def _write(self, call: Call, request: content.Write, ingest: Ingest, *, length: int) -> None:
        is_empty = not _has_bytes(call, request)
        is_opening = is_empty and not request.offset
        if is_opening and writing.is_another(ingest.record, total=request.total, expected=request.expected):
            ingest.begin_anew(request.expected.partition(":")[0] or "sha256")
            self._used(ingest)
        changes: dict[str, str | int] = {}
        if request.total and request.total != ingest.record.total:
            changes["total"] = request.total
        if request.expected and request.expected != ingest.record.expected:
            changes["expected"] = request.expected
        if changes:
            ingest.save(**changes)
        if is_empty:
            if request.offset not in (0, ingest.offset):
                raise OutOfRange(
                    f"ref '{request.ref}' has {ingest.offset} bytes, not {request.offset}",
                    details={"offset": ingest.offset, "field": "offset"},
                )
            return
        algorithm = ingest.record.expected.partition(":")[0] or "sha256"
        step = writing.plan(ingest, offset=request.offset, repeated=call.attempt > 1, keyed=bool(call.key))

        def apply() -> None:
            buffers = call.payload if request.lent is None else [borrowing.borrow(call, request.lent)]
            writing.apply(ingest, step, offset=request.offset, buffers=buffers, algorithm=algorithm)

        if request.lent is None and writing.is_short(ingest, step, length=length, algorithm=algorithm):
            apply()
        else:
            await self._worker.blocking(apply)
        self._used(ingest)

    def _used(self, ingest: Ingest) -> None:
        self._ingests.opened(ingest)
        self._ingests.close_idle(self._slots.is_busy)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, which goes on when the caller takes the request back."""
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # seen: when the caller is gone, nobody else asks for it

    def _tidy_later(self) -> None:
        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(KEPT_S + 1, self._tidy)

    def _tidy(self) -> None:
        async def tidy() -> None:
            await self._commits.drop_old_records()
            self.heal()

        self._tidying = None
        self._worker.spawn(tidy())


def _has_bytes(call: Call, request: content.Write) -> bool:
    """Whether a write brings bytes, sent or lent."""
    return bool(call.payload) or request.lent is not None


def _field(ref: str, path: FieldPath) -> str | None:
    return ref if path == ("ref",) else None


def _no_ingest(call: Call, ref: str) -> NotFound:
    return NotFound(f"ref '{ref}' not found in namespace '{call.namespace}'", details={"ref": ref})
