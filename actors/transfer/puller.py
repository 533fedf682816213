"""Carrying out a pull: documents first, then layers, each unpacked while it arrives, and at the end the image's name.

What is fetched is held by a lease until the name holds it. Every step can be repeated, and what is there is never
fetched again: so a request whose worker died is simply made again, and goes on where the ingests are.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from actors.call import Call
from actors.transfer.arrival import Arrival, Arrivals, ref_of
from actors.transfer.distribution import remember, with_source
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetcher, Fetchers
from actors.transfer.importer import Steps
from actors.transfer.leasing import hold, leased
from actors.transfer.operations import Report
from actors.transfer.plan import NamedImage, RootFs
from actors.transfer.remoteimage import Origin, RemoteImage
from actors.transfer.resolver import Resolver
from actors.transfer.resumption import Resumption
from actors.transfer.together import together, together_with
from actors.transfer.unpacker import Order, Unpacker
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie import failpoint
from wharfie.errors import NotFound
from wharfie.identifiers import check_count, check_labels, check_name
from wharfie.oci import platforms
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference
from wharfie.types import base
from wharfie.types.base import Empty
from wharfie.types.pull import Pull, Pulled
from wharfie.types.transfer import Progress


class Puller:
    """Pulls images; a layer that several of them need is fetched once."""

    def __init__(
        self, worker: Worker, fetchers: Fetchers, unpacker: Unpacker, *, settings: Settings, paths: Paths
    ) -> None:
        self._worker = worker
        self._fetchers = fetchers
        self._unpacker = unpacker
        self._settings = settings
        self._resolver = Resolver(worker, paths=paths)
        self._arrivals = Arrivals(paths.content)

    async def run(self, call: Call, request: Pull, report: Report) -> Pulled:
        """See `wharfie.types.pull.Pull`. Idempotent under its key.

        Raises:
            NotFound: the registry has no such image, or not for the platform.
            InvalidArgument: the reference, the platform or a document is none.
            DataLoss: the registry sent other bytes than a digest says.
            WharfieError: what else the registry, the daemon or an archive is refused for.
        """
        reference = Reference.parse(request.ref)
        name = check_name(request.name or reference.name, field="name")
        check_labels(request.labels)
        check_count(request.attempts, field="attempts")
        wanted = platforms.parse(request.platform)
        async with leased(self._worker, call) as lease:
            origin = Origin(
                reference=reference,
                namespace=call.namespace,
                lease=lease.id,
                # Not the request's key: what an earlier attempt was answered says nothing about what is there now.
                key=f"pull/{uuid.uuid4().hex}",
                report=report,
            )
            async with self._fetchers.of(
                request,
                namespace=origin.namespace,
                lease=origin.lease,
                threads=self._settings.transfer.max_concurrent_downloads + 2,
                attempts=request.attempts,
                is_ranged=True,
            ) as fetcher:
                report(Progress(event="resolving", name=reference.name))
                found = await fetcher.ask(m.Resolve(reference=reference.name), m.Found)
                target = found.descriptor
                report(Progress(event="resolved", name=reference.name, detail=target.digest))
                failpoint.hit("transfer.pull.resolved")
                image = RemoteImage(
                    self._worker,
                    self._resolver,
                    fetcher,
                    origin=origin,
                    wanted=wanted,
                    all_platforms=request.all_platforms,
                )
                taken = await image.take(target)
                failpoint.hit("transfer.pull.documents")
                rootfs = taken.rootfs if request.unpack else None
                snapshotter = request.snapshotter or self._settings.snapshot.snapshotter
                fetched, chain_id = await self._layers(origin, fetcher, list(taken.blobs.values()), rootfs, snapshotter)
            failpoint.hit("transfer.pull.fetched")
            named = NamedImage(
                name=name, target=base.Descriptor(media_type=target.media_type, digest=target.digest, size=target.size)
            )
            made = await Steps(self._worker, call).name(0, named, request.labels, report)
            # What earlier attempts have left, too, whether this one had to fetch anything or not.
            await Resumption(self._worker, call.namespace, reference).drop()
        return Pulled(
            image=made,
            fetched_bytes=fetched + taken.bytes,
            chain_id=chain_id,
            snapshotter=snapshotter if chain_id else "",
        )

    # -- layers ------------------------------------------------------------------------------------------------------

    async def _layers(
        self, origin: Origin, fetcher: Fetcher, blobs: list[Descriptor], rootfs: RootFs | None, snapshotter: str
    ) -> tuple[int, str]:
        """Fetch blobs, and unpack those of `rootfs` meanwhile.

        Returns: how many bytes had to be fetched, and the topmost snapshot; empty when nothing was unpacked.
        """
        slots = asyncio.Semaphore(self._settings.transfer.max_concurrent_downloads)
        kept = Resumption(self._worker, origin.namespace, origin.reference)
        fetched = 0

        async def fetch(descriptor: Descriptor, arrival: Arrival) -> None:
            nonlocal fetched
            async with slots:
                count = await self._blob(origin, fetcher, kept, descriptor, arrival)
            fetched += count

        with contextlib.ExitStack() as held:
            arrivals = {
                blob.digest: held.enter_context(self._arrivals.hold(origin.namespace, blob.digest)) for blob in blobs
            }
            work = [fetch(blob, arrivals[blob.digest]) for blob in blobs]
            chain_id = ""
            if rootfs is not None:
                may_commit = asyncio.Event()
                may_commit.set()
                order = Order(
                    namespace=origin.namespace,
                    snapshotter=snapshotter,
                    rootfs=rootfs,
                    open_layer=self._resolver.open_layer,
                    may_commit=may_commit,
                    report=origin.report,
                    arrival=lambda layer: arrivals[layer.digest],
                    lease=origin.lease,
                )
                chain_id = await together_with(self._unpacker.unpack(order), work)
            else:
                await together(*work)
        return fetched, chain_id

    async def _blob(
        self, origin: Origin, fetcher: Fetcher, kept: Resumption, descriptor: Descriptor, arrival: Arrival
    ) -> int:
        """Have one blob in the namespace. Returns how many bytes had to be fetched."""

        def say(event: str, *, done: int = 0, detail: str = "") -> None:
            progress = Progress(event=event, name=descriptor.digest, done=done, total=descriptor.size, detail=detail)
            origin.report(progress)

        def arrived(count: int) -> None:
            arrival.arrived(count)
            say("downloading", done=count)

        say("waiting")
        async with arrival.turn(lambda count: say("downloading", done=count)):
            labels = await self._hold(origin, descriptor.digest)
            if labels is not None:
                arrival.complete(descriptor.size)
                say("exists", done=descriptor.size)
                await remember(self._worker, origin.namespace, descriptor.digest, labels, origin.reference)
                return 0
            say("downloading")
            await kept.keep(descriptor.digest)
            failpoint.hit("transfer.pull.before-fetch")
            await fetcher.ask(
                m.GetBlob(
                    reference=origin.reference.name,
                    descriptor=descriptor,
                    ref=ref_of(descriptor.digest),
                    labels=with_source({}, origin.reference),
                ),
                Empty,
                arrived=arrived,
                noted=lambda event, detail: say(event, detail=detail),
            )
            arrival.complete(descriptor.size)
            say("done", done=descriptor.size)
            return descriptor.size

    async def _hold(self, origin: Origin, digest: str) -> dict[str, str] | None:
        """Hold a blob that is there by the lease, before anybody can collect it; its labels, or None without it."""
        try:
            if not self._resolver.is_whole(await self._resolver.named(origin.namespace, digest)):
                return None  # damaged: storing it again puts whole bytes under its name
        except NotFound:
            return None
        await hold(self._worker, origin.namespace, origin.lease, "content", digest)
        try:
            return dict((await self._resolver.named(origin.namespace, digest)).labels)
        except NotFound:
            return None
