"""How an ingest becomes a blob, how a blob is deleted, and what remains to be done after a crash in between.

A commit has these steps, and each may be the last one of this process:

1. the data is verified and synced;                       a crash: an ingest as before
2. `meta` says what it becomes, and under which key;      a crash: an ingest as before
3. the data is renamed to the blob, the directory synced; a crash: a record that awaits registration
4. metadata registers the name under the request's key;   a crash: the same
5. the caller is answered;                                the record stays for `KEPT_S`

A commit that is repeated after 3 finds the record and registers again: under the same key metadata gives the answer of
the first time. While a record awaits registration its blob is not deleted, whoever forgets it. A record that nobody
comes back for is dropped, and its blob with it when nobody names it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

from actors.call import Call
from actors.content.ingest import Ingest
from actors.content.ingests import Finished, Ingests
from actors.content.locks import Digests
from actors.content.names import Names
from actors.content.store import BlobStore
from actors.worker import Worker
from wharfie import failpoint
from wharfie.errors import AlreadyExists, FailedPrecondition, NotFound
from wharfie.types import content
from wharfie.types.base import Labels

T = TypeVar("T")

KEPT_S = 60.0
"""How long the record of a commit stays to answer a repeated one."""


class Commits:
    """Commits and deletions, one at a time for each digest."""

    def __init__(self, worker: Worker, *, store: BlobStore, ingests: Ingests, names: Names, digests: Digests) -> None:
        self._worker = worker
        self._store = store
        self._ingests = ingests
        self._names = names
        self._digests = digests

    async def commit(self, call: Call, request: content.Commit, ingest: Ingest) -> content.Info:
        """Make an ingest a blob of the namespace. The caller holds the ref's turn.

        Raises:
            FailedPrecondition: size or digest are not as expected; the ingest stays.
            AlreadyExists: the namespace had the blob; the ingest is dropped.
        """
        try:
            digest = await self._blocking(_verify, ingest, request)
        finally:
            self._ingests.opened(ingest)
        async with self._digests.alone(digest):
            # A file of another size is no blob of this digest: it was damaged, and is replaced.
            there = self._store.size(digest) == ingest.offset
            ingest.save(committed=digest, committed_size=ingest.offset, placed=not there, key=call.key)
            failpoint.hit("content.commit.before-rename")
            await self._blocking(self._become, ingest, digest, there)
            failpoint.hit("content.commit.after-rename")
            done = self._ingests.finish(ingest)
            return await self._register(call, done, labels=request.labels)

    def _become(self, ingest: Ingest, digest: str, there: bool) -> None:
        if not there:
            if ingest.is_shared:
                ingest.check_shared()  # deleted meanwhile, maybe because it was found damaged
            self._store.adopt(ingest.bytes_path, digest)
        else:
            ingest.discard()

    async def _register(self, call: Call, done: Finished, *, labels: Labels) -> content.Info:
        record = done.record
        registered = await self._names.register(
            call, record.committed, size=record.committed_size, labels=labels, ref=record.ref
        )
        failpoint.hit("content.commit.registered")
        self._ingests.registered(done)
        # A name that was there without its bytes has them again: that is what the caller wanted.
        if not registered.new and not record.placed:
            raise already_exists(call.namespace, record.committed)
        return registered.info

    async def commit_again(self, call: Call, request: content.Commit) -> content.Info:
        """Commit a ref that has no ingest: answer a repeated call, finish an interrupted one, or refuse a mistake.

        Raises:
            NotFound: there was no such ingest lately.
            AlreadyExists: there is none, but the namespace has the blob that is expected; or as `commit` did.
        """
        done = self._ingests.finished(call.namespace, request.ref)
        repeated = done is not None and bool(call.key) and done.record.key == call.key
        if done is None or (done.registered and not repeated):
            raise await self._no_ingest(call, request)
        record = done.record
        _compare(request, size=record.committed_size, digest=record.committed)
        async with self._digests.alone(record.committed):
            if self._store.size(record.committed) is None:
                if repeated:  # done and answered in its time, and deleted since
                    return content.Info(digest=record.committed, size=record.committed_size, labels=request.labels)
                raise await self._no_ingest(call, request)
            return await self._register(call, done, labels=request.labels)

    async def _no_ingest(self, call: Call, request: content.Commit) -> AlreadyExists | NotFound:
        if request.expected and (await self._names.of(request.expected, namespace=call.namespace)).here:
            return already_exists(call.namespace, request.expected)
        return NotFound(
            f"ref '{request.ref}' not found in namespace '{call.namespace}'; write to it first",
            details={"ref": request.ref},
        )

    async def take_in(self, call: Call, digest: str, *, size: int, make: Callable[[], str], labels: Labels) -> None:
        """Make a local file's bytes a blob of the namespace; `make` copies and verifies them, in the thread pool, when
        there is no blob of this size.

        Raises:
            FailedPrecondition: the bytes have another digest.
        """
        async with self._digests.alone(digest):
            if self._store.size(digest) != size:
                await self._blocking(self._take_in, digest, make)
            await self._names.register(call, digest, size=size, labels=labels)
            failpoint.hit("content.ingest-file.registered")

    def _take_in(self, digest: str, make: Callable[[], str]) -> None:
        temporary = make()
        failpoint.hit("content.ingest-file.copied")
        self._store.adopt(temporary, digest)
        failpoint.hit("content.ingest-file.renamed")

    async def delete(self, call: Call, digest: str) -> None:
        """Have the namespace forget a blob, and delete its bytes when nobody else names it.

        Raises:
            NotFound: the namespace does not name it.
        """
        async with self._digests.alone(digest):
            await self._names.forget(call, digest)
            failpoint.hit("content.delete.forgotten")
            self._ingests.was_named(call.namespace, digest)
            await self._unlink_if_dead(call.namespace, digest)
            failpoint.hit("content.delete.unlinked")

    async def _unlink_if_dead(self, namespace: str, digest: str) -> None:
        """Delete a blob's bytes unless some namespace names it or is about to. The caller holds the digest's lock."""
        if self._ingests.awaits_registration(digest):
            return
        if not (await self._names.of(digest, namespace=namespace)).anywhere:
            await self._blocking(self._store.unlink, digest)

    async def unlink_dead(self, digests: list[str], *, dry: bool = False) -> dict[str, int]:
        """Delete the bytes of those digests that no namespace names or is about to. Idempotent.

        Args:
            digests: not too many: nobody commits or deletes any of them meanwhile.
            dry: delete nothing.

        Returns:
            For each one that is, or would be, deleted its size in bytes.
        """
        async with contextlib.AsyncExitStack() as alone:
            for digest in sorted(set(digests)):  # in order: two who do this never wait for one another
                await alone.enter_async_context(self._digests.alone(digest))
            sizes = {digest: self._store.size(digest) for digest in digests}
            there = [digest for digest, size in sizes.items() if size is not None]
            there = [digest for digest in there if not self._ingests.awaits_registration(digest)]
            if not there:
                return {}
            named = await self._names.any_of(there)
            failpoint.hit("content.collect.asked")
            dead = {digest: sizes[digest] or 0 for digest in there if digest not in named}
            if not dry:
                for digest in dead:
                    await self._blocking(self._store.unlink, digest)
                failpoint.hit("content.collect.unlinked")
            return dead

    async def drop_old_records(self, *, older_than_s: float = KEPT_S) -> None:
        """Forget commits that nobody will repeat any more, and the blobs of those that were never registered."""
        before_ns = time.time_ns() - int(older_than_s * 1e9)
        for done in self._ingests.finished_before(before_ns):
            if not done.registered:
                async with self._digests.alone(done.record.committed):
                    self._ingests.registered(done)  # or its blob would wait for it for ever
                    await self._unlink_if_dead(done.record.namespace, done.record.committed)
            self._ingests.forget(done)
        self._ingests.forget_aborted(before_ns)

    async def _blocking(self, function: Callable[..., T], *args: object) -> T:
        return await self._worker.blocking(function, *args)


def _verify(ingest: Ingest, request: content.Commit) -> str:
    """The digest of an ingest's bytes, which are on disk when this returns. Blocks.

    Raises:
        FailedPrecondition: size or digest are not as expected.
    """
    record = ingest.record
    expected = request.expected or record.expected
    algorithm = expected.partition(":")[0] or "sha256"
    # A blob that stands for the bytes was verified when it became one.
    if not (ingest.is_shared and record.shared.startswith(f"{algorithm}:")):
        ingest.open(algorithm)
    digest = ingest.digest()
    _compare(request, size=ingest.offset, digest=digest, total=record.total, expected=expected)
    if not ingest.is_shared:
        ingest.sync()
    return digest


def _compare(request: content.Commit, *, size: int, digest: str, total: int = 0, expected: str = "") -> None:
    """Hold what is there against what the commit, or else the writes before it, promised.

    Raises:
        FailedPrecondition: they differ.
    """
    wanted_size = request.size or total
    wanted = request.expected or expected
    if wanted_size and wanted_size != size:
        raise FailedPrecondition(
            f"ref '{request.ref}' has {size} bytes, expected {wanted_size}; write the rest or abort it",
            details={"reason": "size", "size": size},
        )
    if wanted and wanted != digest:
        raise FailedPrecondition(
            f"bytes of ref '{request.ref}' have digest '{digest}', expected '{wanted}'; abort it or write it anew",
            details={"reason": "digest", "digest": digest},
        )


def already_exists(namespace: str, digest: str) -> AlreadyExists:
    """The namespace has that blob."""
    return AlreadyExists(f"blob '{digest}' exists in namespace '{namespace}'", details={"digest": digest})
