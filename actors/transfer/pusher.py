"""Carrying out a push: blobs first, then manifests, those that others refer to before these, the image's own last.

Nothing is named at the registry before all of it is there. What it has already is not sent, what another repository of
it has is mounted from there. Every step can be repeated, so a request whose worker died is simply made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

from actors.call import Call
from actors.transfer.distribution import mounts, remember
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetcher, Fetchers
from actors.transfer.imagetree import Choice, Chooser, Node
from actors.transfer.operations import Report
from actors.transfer.resolver import Resolver
from actors.transfer.together import together
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie import failpoint
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.identifiers import check_name
from wharfie.oci import platforms
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference
from wharfie.types import base, images
from wharfie.types.images import Image
from wharfie.types.pull import Push, Pushed
from wharfie.types.transfer import Progress


class Pusher:
    """Pushes images."""

    def __init__(self, worker: Worker, fetchers: Fetchers, *, settings: Settings, paths: Paths) -> None:
        self._worker = worker
        self._fetchers = fetchers
        self._at_once = settings.transfer.max_concurrent_uploads
        self._resolver = Resolver(worker, paths=paths)

    async def run(self, call: Call, request: Push, report: Report) -> Pushed:
        """See `wharfie.types.pull.Push`. Idempotent.

        Raises:
            NotFound: there is no such image, or not all that is to be pushed of it.
            InvalidArgument: the reference or the platform is none.
            WharfieError: what the registry refused.
        """
        check_name(request.image, field="image")
        reference = Reference.parse(request.ref or request.image)
        get = images.Get(name=request.image)
        image = await self._worker.call("images.get", get, Image, namespace=call.namespace)
        root = await self._tree(call.namespace, image, request.platform)
        digest = root.descriptor.digest
        if reference.digest and reference.digest != digest:
            raise InvalidArgument(
                f"reference '{reference}' says digest '{reference.digest}', image '{image.name}' has '{digest}'",
                details={"field": "ref"},
            )
        async with self._fetchers.of(request, namespace=call.namespace, threads=self._at_once + 1) as fetcher:
            run = _Run(self._worker, self._resolver, fetcher, call.namespace, reference, report)
            sent = await run.push(root, self._at_once)
        report(Progress(event="pushed", name=reference.name, detail=digest))
        target = base.Descriptor(media_type=root.descriptor.media_type, digest=digest, size=root.descriptor.size)
        return Pushed(ref=reference.name, target=target, sent_bytes=sent)

    async def _tree(self, namespace: str, image: Image, platform: str) -> Node:
        """What is pushed of an image: all of it, or its manifest for one platform."""
        wanted = [platforms.parse(platform)] if platform else []
        choice = Choice(wanted=wanted, all_platforms=not wanted, skip_foreign=True)
        target = Descriptor(media_type=image.target.media_type, digest=image.target.digest, size=image.target.size)
        try:
            root = await Chooser(source=self._resolver.source(namespace), choice=choice).tree(target, name=image.name)
        except NotFound as error:
            if wanted or "digest" not in error.details:
                raise
            raise FailedPrecondition(
                f"image '{image.name}' is not all here: blob '{error.details['digest']}' is missing; push one platform"
                " that is here, or pull all of them first",
                details={"reason": "incomplete", "digest": error.details["digest"]},
            ) from None
        if not wanted:
            return root
        for node in root.manifests():
            if node.is_image:
                return node
        return root


class _Run:
    """One push."""

    def __init__(
        self,
        worker: Worker,
        resolver: Resolver,
        fetcher: Fetcher,
        namespace: str,
        reference: Reference,
        report: Report,
    ) -> None:
        self._worker = worker
        self._resolver = resolver
        self._fetcher = fetcher
        self._namespace = namespace
        self._reference = reference
        self._report = report
        self._sent = 0

    async def push(self, root: Node, at_once: int) -> int:
        """Push blobs and documents; returns how many bytes had to be sent."""
        slots = asyncio.Semaphore(at_once)

        async def blob(descriptor: Descriptor) -> None:
            async with slots:
                await self._blob(descriptor)

        blobs = {descriptor.digest: descriptor for node in root.manifests() for descriptor in node.blobs}
        for descriptor in blobs.values():
            self._say("waiting", descriptor)
        await together(*(blob(descriptor) for descriptor in blobs.values()))
        failpoint.hit("transfer.push.blobs")
        done: set[str] = set()
        for node in _children_first(root):
            if node is not root and node.descriptor.digest not in done:
                done.add(node.descriptor.digest)
                await self._document(node, self._reference.with_digest(node.descriptor.digest))
        await self._document(root, self._reference)
        failpoint.hit("transfer.push.done")
        return self._sent

    async def _blob(self, descriptor: Descriptor) -> None:
        labels = (await self._resolver.named(self._namespace, descriptor.digest)).labels
        fd, _, _ = self._resolver.open_blob(descriptor.digest)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, fd)
            sent = await self._fetcher.ask(
                m.PushBlob(
                    reference=self._reference.name,
                    descriptor=descriptor,
                    mount_from=mounts(labels, self._reference),
                ),
                m.Sent,
                fds=[fd],
                arrived=lambda count: self._say("uploading", descriptor, done=count),
            )
        self._sent += sent.bytes
        await remember(self._worker, self._namespace, descriptor.digest, labels, self._reference)
        self._say("done" if sent.bytes else "exists", descriptor, done=descriptor.size)

    async def _document(self, node: Node, reference: Reference) -> None:
        self._say("uploading", node.descriptor)
        await self._fetcher.ask(
            m.PushDocument(reference=reference.name, descriptor=node.descriptor, data=node.data), m.Sent
        )
        labels = (await self._resolver.named(self._namespace, node.descriptor.digest)).labels
        await remember(self._worker, self._namespace, node.descriptor.digest, labels, self._reference)
        self._say("done", node.descriptor, done=node.descriptor.size)

    def _say(self, event: str, descriptor: Descriptor, *, done: int = 0) -> None:
        self._report(Progress(event=event, name=descriptor.digest, done=done, total=descriptor.size))


def _children_first(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield from _children_first(child)
    yield node
