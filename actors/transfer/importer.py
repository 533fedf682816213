"""Carrying out an import: read the archive in a job, take its blobs in, name its images, unpack them.

Unpacking begins with the first blob, from the archive itself, but commits nothing before the blobs are there and the
images named. Every step can be repeated: blobs and snapshots that exist are left alone, and what has a key is answered
as it was the first time. So a request whose worker died is simply made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from functools import partial

from actors import internal
from actors.call import Call
from actors.jobs import KILLED, Jobs
from actors.transfer.blobs import sha256
from actors.transfer.layersource import Opened
from actors.transfer.leasing import leased
from actors.transfer.operations import Report
from actors.transfer.plan import ArchivePlan, Blob, Layer, NamedImage, Plan, ReadArchive
from actors.transfer.resolver import Resolver
from actors.transfer.source import Archive, open_archive, proc_path
from actors.transfer.together import together, together_with
from actors.transfer.unpacker import Order, Unpacker
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from linux import memfd
from wharfie import failpoint
from wharfie.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from wharfie.identifiers import check_labels, check_name
from wharfie.oci import platforms
from wharfie.types import content, images
from wharfie.types.base import Descriptor, Empty, Labels
from wharfie.types.images import Image
from wharfie.types.transfer import Import, Imported, Progress

_CONCURRENT_BLOBS = 4
_TRIES = 3


class Importer:
    """Imports archives."""

    def __init__(self, worker: Worker, jobs: Jobs, unpacker: Unpacker, *, settings: Settings, paths: Paths) -> None:
        self._worker = worker
        self._jobs = jobs
        self._unpacker = unpacker
        self._settings = settings
        self._paths = paths
        self._resolver = Resolver(worker, paths=paths)

    async def run(self, call: Call, request: Import, report: Report) -> Imported:
        """See `wharfie.types.transfer.Import`. Idempotent under its key."""
        check_labels(request.labels)
        for name in request.names:
            check_name(name, field="names")
        platforms.parse(request.platform)
        steps = Steps(self._worker, call)
        try:
            archive = await open_archive(
                request,
                namespace=call.namespace,
                content_root=self._paths.content,
                temp=self._paths.temp or self._paths.root,
            )
        except NotFound:
            if not request.ref or not (named := await steps.named_before()):
                raise
            # An earlier attempt named everything and dropped the ingest, then died before it could say so.
            await self._unpack_named(call, request, named, report)
            return Imported(images=named)
        with archive:
            report(Progress(event="importing", name=request.path or request.ref))
            plan = await self._plan(request, archive, report)
            failpoint.hit("transfer.import.after-plan")
            # What is taken in is garbage until an image has its name; when that fails, it stays garbage.
            async with leased(self._worker, call) as lease:
                named = await self._carry_out(call, request, plan, archive, steps, report, lease.id)
        if request.ref:
            with contextlib.suppress(NotFound):
                await self._worker.call(
                    "content.abort",
                    content.Abort(ref=request.ref),
                    Empty,
                    namespace=call.namespace,
                    key=steps.key("abort"),
                )
        return Imported(images=named)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _plan(self, request: Import, archive: Archive, report: Report) -> Plan:
        read = ReadArchive(
            seekable=archive.seekable,
            max_bytes=self._settings.transfer.max_unpacked_bytes,
            base_name=request.base_name,
            digests=request.digests,
            names=request.names,
            platform=request.platform,
            all_platforms=request.all_platforms,
        )
        for attempt in range(_TRIES):
            try:
                found = await self._jobs.run(
                    "actors.transfer.job:read",
                    read,
                    ArchivePlan,
                    name="import",
                    fds=[archive.fd, archive.spool_fd],
                    progress=lambda done: report(
                        Progress(event="importing", name=request.path or request.ref, done=done)
                    ),
                )
                break
            except Aborted as error:
                # A pipe cannot be read twice; a file can.
                if error.details.get("reason") != KILLED or attempt == _TRIES - 1:
                    raise
                if not archive.seekable:
                    raise Aborted(
                        f"reading FIFO '{request.path}' was cut short, and what was read of it is gone: run its writer"
                        " and the import again",
                        details={"reason": KILLED, "field": "path"},
                    ) from None
                archive.rewind()
        if found.spooled:
            archive.use_spool()
        return found.plan

    # -- doing -------------------------------------------------------------------------------------------------------

    async def _carry_out(
        self, call: Call, request: Import, plan: Plan, archive: Archive, steps: Steps, report: Report, lease: str
    ) -> list[Image]:
        may_commit = asyncio.Event()

        async def take_in() -> list[Image]:
            await self._blobs(plan.blobs, archive, steps, report, lease)
            failpoint.hit("transfer.import.after-blobs")
            named = [
                await steps.name(number, image, request.labels, report) for number, image in enumerate(plan.images)
            ]
            may_commit.set()
            return named

        snapshotter = request.snapshotter or self._settings.snapshot.snapshotter
        unpacks = [
            self._unpacker.unpack(
                Order(
                    namespace=call.namespace,
                    snapshotter=snapshotter,
                    rootfs=rootfs,
                    open_layer=partial(_in_archive, archive),
                    may_commit=may_commit,
                    report=report,
                    lease=lease,
                )
            )
            for rootfs in (plan.unpacks if request.unpack else ())
        ]
        return await together_with(take_in(), unpacks)

    async def _blobs(self, blobs: list[Blob], archive: Archive, steps: Steps, report: Report, lease: str) -> None:
        """Take the blobs in: first those that nothing but data refers to, then the documents that refer to them."""
        slots = asyncio.Semaphore(_CONCURRENT_BLOBS)

        async def take(blob: Blob) -> None:
            async with slots:
                total = blob.source.length
                report(Progress(event="blob", name=blob.digest, total=total))
                await self._blob(blob, archive, steps, lease)
                report(Progress(event="blob", name=blob.digest, done=total, total=total))

        for wave in ([blob for blob in blobs if not blob.labels], [blob for blob in blobs if blob.labels]):
            await together(*(take(blob) for blob in wave))

    async def _blob(self, blob: Blob, archive: Archive, steps: Steps, lease: str) -> None:
        fd = await self._worker.blocking(archive.open, blob.source)
        try:
            file = internal.IngestFile(
                path=proc_path(fd),
                offset=blob.source.offset,
                length=blob.source.length,
                digest=blob.digest,
                labels=blob.labels,
            )
            await steps.ingest(file, lease=lease)
        finally:
            os.close(fd)

    async def _unpack_named(self, call: Call, request: Import, named: list[Image], report: Report) -> None:
        """Unpack images that are in the content store."""
        if request.unpack:
            async with leased(self._worker, call) as lease:
                for image in named:
                    await self.unpack(
                        call.namespace,
                        image.target,
                        name=image.name,
                        snapshotter=request.snapshotter,
                        platform=request.platform,
                        report=report,
                        lease=lease.id,
                    )

    async def unpack(
        self,
        namespace: str,
        target: Descriptor,
        *,
        name: str,
        snapshotter: str,
        platform: str,
        report: Report,
        lease: str,
    ) -> str:
        """Unpack an image from the content store; returns its topmost snapshot, held by its configuration.

        Raises:
            NotFound: nothing for this platform, or a blob of it is not there.
        """
        rootfs = await self._resolver.rootfs(namespace, target, name=name, platform=platforms.parse(platform))
        may_commit = asyncio.Event()
        may_commit.set()
        return await self._unpacker.unpack(
            Order(
                namespace=namespace,
                snapshotter=snapshotter or self._settings.snapshot.snapshotter,
                rootfs=rootfs,
                open_layer=self._resolver.open_layer,
                may_commit=may_commit,
                report=report,
                lease=lease,
            )
        )


class Steps:
    """The keyed steps of one import or pull, so that a repeated one repeats their answers.

    A request without a key gets one that nobody else knows: then its steps survive the deaths of other workers, if not
    of this one.
    """

    def __init__(self, worker: Worker, call: Call) -> None:
        self._worker = worker
        self._call = call
        self._own = "" if call.key else uuid.uuid4().hex

    def key(self, step: str) -> str:
        """The idempotency key of a step."""
        return self._call.derive(step) or f"{self._own}/{step}"

    async def ingest(self, file: internal.IngestFile, *, lease: str) -> None:
        """Have the content worker take in, and verify, a blob that is part of a file."""
        await self._worker.call(
            "content.ingest_file",
            file,
            internal.Ingested,
            namespace=self._call.namespace,
            # Not the key of an earlier incarnation: who joined its request would get the failure of its path.
            key=f"{self.key('blob')}/{file.digest}/{file.path}",
            lease=lease,
            timeout_s=None,
        )

    async def ingest_document(self, data: bytes, *, labels: Labels, lease: str) -> str:
        """The same for a document that was made here; returns its digest."""
        digest = sha256(data)
        fd = memfd.create_sealed("blob", data)
        try:
            file = internal.IngestFile(path=proc_path(fd), offset=0, length=len(data), digest=digest, labels=labels)
            await self.ingest(file, lease=lease)
        finally:
            os.close(fd)
        return digest

    async def name(self, number: int, image: NamedImage, labels: dict[str, str], report: Report) -> Image:
        """Create the image, or have its name stand for this content; an existing one keeps its other labels."""
        wanted = Image(name=image.name, target=image.target, labels=labels)
        failpoint.hit("transfer.import.before-image")
        try:
            made = await self._ask(number, "create", images.Create(image=wanted))
        except AlreadyExists:
            mask = ["target", *(f"labels.{label}" for label in labels)]
            made = await self._ask(number, "update", images.Update(image=wanted, mask=mask))
        failpoint.hit("transfer.import.after-image")
        report(Progress(event="saved", name=made.name))
        return made

    async def named_before(self) -> list[Image]:
        """The images that an earlier attempt of this very request named.

        Metadata keeps the answer to every keyed change, and gives it again whatever the change is now; where it has
        none, an image without a name is refused and changes nothing.
        """
        named: list[Image] = []
        if not self._call.key:
            return named
        nobody = Image(name="", target=Descriptor(media_type="", digest="", size=0))
        with contextlib.suppress(InvalidArgument):
            while True:
                try:
                    named.append(await self._ask(len(named), "create", images.Create(image=nobody)))
                except AlreadyExists:
                    named.append(await self._ask(len(named), "update", images.Update(image=nobody)))
        return named

    async def _ask(self, number: int, verb: str, request: images.Create | images.Update) -> Image:
        return await self._worker.call(
            f"images.{verb}",
            request,
            Image,
            namespace=self._call.namespace,
            key=self.key(f"image/{number}/{verb}"),
        )


def _in_archive(archive: Archive, layer: Layer) -> Opened:
    """A layer's bytes where the archive has them."""
    assert layer.source is not None, "a layer of an archive has its place there"
    return archive.open(layer.source), layer.source.offset, layer.source.length
