"""Fetching again what was damaged: a blob's labels say which repositories have it, else its image's name does.

One blob that cannot be had does not keep the others from being fetched.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence

from actors.call import Call
from actors.transfer.arrival import ref_of
from actors.transfer.distribution import sources
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetcher, Fetchers
from actors.transfer.leasing import leased
from actors.transfer.operations import Report
from actors.transfer.selection import MAX_MANIFEST_BYTES
from actors.transfer.together import together
from actors.worker import Worker
from config.settings import Settings
from wharfie import errors
from wharfie.identifiers import check_count, check_digest
from wharfie.oci.descriptor import MEDIA_TYPE_MANIFEST, Descriptor
from wharfie.reference import Reference
from wharfie.types import content
from wharfie.types.base import Empty, Labels
from wharfie.types.pull import Repair, Repaired
from wharfie.types.transfer import Progress


class Repairer:
    """Fetches blobs whose bytes are missing."""

    def __init__(self, worker: Worker, fetchers: Fetchers, *, settings: Settings) -> None:
        self._worker = worker
        self._fetchers = fetchers
        self._at_once = settings.transfer.max_concurrent_downloads

    async def run(self, call: Call, request: Repair, report: Report) -> Repaired:
        """See `wharfie.types.pull.Repair`. Idempotent.

        Raises:
            InvalidArgument: a digest or a size is none.
        """
        for digest, size in request.blobs.items():
            check_digest(digest, field="blobs")
            check_count(size, field="blobs")
        repaired: list[str] = []
        failed: dict[str, str] = {}
        slots = asyncio.Semaphore(self._at_once)
        async with (
            leased(self._worker, call) as lease,
            self._fetchers.of(
                request, namespace=call.namespace, lease=lease.id, threads=self._at_once + 1, is_ranged=True
            ) as fetcher,
        ):

            async def repair(digest: str, size: int) -> None:
                async with slots:
                    try:
                        references = await self._references(call.namespace, digest, request.image)
                        await self._blob(fetcher, references, digest, size, lease.id, call.namespace, report)
                    except errors.WharfieError as error:
                        failed[digest] = error.message
                    else:
                        repaired.append(digest)

            await together(*(repair(digest, size) for digest, size in request.blobs.items()))
        return Repaired(repaired=sorted(repaired), failed=failed)

    async def _references(self, namespace: str, digest: str, image: str) -> list[Reference]:
        """Where a blob can be had, the likeliest first."""
        labels: Labels = {}
        with contextlib.suppress(errors.NotFound):
            ask = content.GetInfo(digest=digest)
            labels = (await self._worker.call("content.info", ask, content.Info, namespace=namespace)).labels
        found = list(sources(labels))
        if image:
            with contextlib.suppress(errors.InvalidArgument):
                found.append(Reference.parse(image))
        if not found:
            raise errors.NotFound(
                f"nobody knows where blob '{digest}' comes from; import its image again", details={"digest": digest}
            )
        return found

    async def _blob(
        self,
        fetcher: Fetcher,
        references: Sequence[Reference],
        digest: str,
        size: int,
        lease: str,
        namespace: str,
        report: Report,
    ) -> None:
        """Fetch one blob from the first repository that has it."""

        def say(event: str, *, done: int = 0, detail: str = "") -> None:
            report(Progress(event=event, name=digest, done=done, total=size, detail=detail))

        say("waiting")
        last: errors.WharfieError | None = None
        for reference in references:
            descriptor = Descriptor(media_type="application/octet-stream", digest=digest, size=size)
            try:
                await fetcher.ask(
                    m.GetBlob(reference=reference.name, descriptor=descriptor, ref=ref_of(digest)),
                    Empty,
                    arrived=lambda count: say("downloading", done=count),
                    noted=lambda event, detail: say(event, detail=detail),
                )
            except errors.NotFound as error:
                # Manifests are not among a registry's blobs.
                last = error
                if size > MAX_MANIFEST_BYTES:
                    continue
                try:
                    await self._manifest(fetcher, reference, digest, size, lease, namespace)
                except errors.WharfieError as refused:
                    last = refused
                    continue
            except errors.WharfieError as error:
                last = error
                continue
            say("done", done=size)
            return
        assert last is not None, "there was a reference to try"
        raise last

    async def _manifest(
        self, fetcher: Fetcher, reference: Reference, digest: str, size: int, lease: str, namespace: str
    ) -> None:
        descriptor = Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=digest, size=size)
        ask = m.GetDocument(reference=reference.name, descriptor=descriptor, is_manifest=True)
        found = await fetcher.ask(ask, m.Document)
        await self._worker.call(
            "content.put",
            content.Put(expected=digest),
            content.Stored,
            namespace=namespace,
            key=f"repair/{uuid.uuid4().hex}",
            lease=lease,
            timeout_s=None,
            payload=[found.data],
        )
