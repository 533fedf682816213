"""An image of a registry as documents: what of it is taken, and its manifests stored.

What is in the content store already is read there. Documents are stored as they come, held by the pull's lease, with
the labels that keep what they refer to; so whatever ends the pull early, the next one begins where it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.transfer import selection
from actors.transfer.blobs import GC_CONFIG, GC_LAYER, GC_MANIFEST
from actors.transfer.distribution import with_source
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetcher
from actors.transfer.imagetree import MAX_MANIFESTS
from actors.transfer.layout import MAX_DEPTH
from actors.transfer.operations import Report
from actors.transfer.plan import RootFs
from actors.transfer.resolver import Resolver, rootfs_of
from actors.transfer.selection import MAX_MANIFEST_BYTES
from actors.worker import Worker
from wharfie.errors import DataLoss, InvalidArgument, NotFound
from wharfie.oci import platforms
from wharfie.oci.descriptor import CONFIG_TYPES, Descriptor, Platform
from wharfie.oci.image_config import MAX_CONFIG_BYTES, ImageConfig, decode_image_config
from wharfie.oci.manifest import Index, Manifest, decode_document
from wharfie.reference import Reference
from wharfie.types import content
from wharfie.types.base import Labels
from wharfie.types.transfer import Progress


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an image comes from and for whom: what every step of one pull needs."""

    reference: Reference
    namespace: str
    lease: str
    key: str
    report: Report


@dataclass(kw_only=True)
class Taken:
    """What is taken of an image.

    Attributes:
        blobs: layers and what else is to be fetched, each once, in the order of the manifests.
        rootfs: what is to be unpacked; None when nothing is for the wanted platform.
        bytes: of documents that were fetched.
    """

    blobs: dict[str, Descriptor] = field(default_factory=dict)
    rootfs: RootFs | None = None
    bytes: int = 0
    manifests: int = 0


class RemoteImage:
    """Reads one image's documents; `take` is called once.

    Args:
        wanted: what is unpacked, and without `all_platforms` all that is taken.
    """

    def __init__(
        self,
        worker: Worker,
        resolver: Resolver,
        fetcher: Fetcher,
        *,
        origin: Origin,
        wanted: Platform,
        all_platforms: bool,
    ) -> None:
        self._worker = worker
        self._resolver = resolver
        self._fetcher = fetcher
        self._origin = origin
        self._wanted = wanted
        self._all_platforms = all_platforms
        self._taken = Taken()

    async def take(self, target: Descriptor) -> Taken:
        """Choose, read and store documents from the top down.

        Raises:
            NotFound: there is nothing for the wanted platform.
            InvalidArgument: a document is malformed, ambiguous, too large or of schema 1.
            FailedPrecondition: this is no image.
        """
        selection.check_target(target, name=self._origin.reference.name)
        if not await self._walk(target, depth=0, wanted=True):
            raise NotFound(
                f"image '{self._origin.reference}' has no manifest for platform '{platforms.shown(self._wanted)}'",
                details={"field": "platform"},
            )
        return self._taken

    async def _walk(self, descriptor: Descriptor, *, depth: int, wanted: bool) -> bool:
        """Take a manifest or index with what belongs to it. `wanted`: for its platform, else as one of all.

        Returns whether anything of it was taken.
        """
        selection.check_child(descriptor)
        selection.check_manifest_size(descriptor)
        self._taken.manifests += 1
        if self._taken.manifests > MAX_MANIFESTS:
            raise InvalidArgument(f"image '{self._origin.reference}' has more than {MAX_MANIFESTS} manifests")
        data = await self._document(descriptor, is_manifest=True)
        document = decode_document(data, media_type=descriptor.media_type)
        if isinstance(document, Index):
            if depth >= MAX_DEPTH:
                raise InvalidArgument(f"image '{self._origin.reference}' nests indexes deeper than {MAX_DEPTH} levels")
            labels = await self._index(document, depth=depth, wanted=wanted)
        else:
            labels = await self._manifest(descriptor, document, depth=depth, wanted=wanted)
        if labels is None:
            return False
        await self._store(descriptor, data, labels)
        return True

    async def _index(self, index: Index, *, depth: int, wanted: bool) -> Labels | None:
        taken: set[str] = set()
        if wanted:
            for child in selection.candidates(index.manifests, self._wanted):
                if await self._walk(child, depth=depth + 1, wanted=True):
                    taken.add(child.digest)
                    break
            else:
                if not self._all_platforms:
                    if depth == 0:
                        raise NotFound(
                            f"image '{self._origin.reference}' has no manifest for platform"
                            f" '{platforms.shown(self._wanted)}'; there are: {selection.offered(index.manifests)}",
                            details={"field": "platform"},
                        )
                    return None
        if self._all_platforms:
            for child in index.manifests:
                if child.digest not in taken and await self._walk(child, depth=depth + 1, wanted=False):
                    taken.add(child.digest)
        return {
            f"{GC_MANIFEST}{number}": child.digest
            for number, child in enumerate(index.manifests)
            if child.digest in taken
        }

    async def _manifest(self, descriptor: Descriptor, manifest: Manifest, *, depth: int, wanted: bool) -> Labels | None:
        for child in (manifest.config, *manifest.layers):
            selection.check_child(child)
        is_image = manifest.config.media_type in CONFIG_TYPES
        if is_image and (wanted or manifest.config.size <= MAX_CONFIG_BYTES):
            data = await self._document(manifest.config, is_manifest=False)
            if wanted:
                config = decode_image_config(data)
                if self._fits(descriptor, config, depth=depth):
                    self._taken.rootfs = rootfs_of(descriptor.digest, manifest, config)
                elif depth or not self._all_platforms:
                    return None
            await self._store(manifest.config, data, {})
        else:
            self._taken.blobs[manifest.config.digest] = manifest.config
        for layer in manifest.layers:
            self._taken.blobs[layer.digest] = layer
        layers = {f"{GC_LAYER}{number}": layer.digest for number, layer in enumerate(manifest.layers)}
        return {GC_CONFIG: manifest.config.digest, **layers}

    def _fits(self, descriptor: Descriptor, config: ImageConfig, *, depth: int) -> bool:
        """Whether a manifest is for the wanted platform; what its index says of it counts."""
        if descriptor.platform is not None:
            return True
        found = selection.platform_of(config)
        if found is None or platforms.rank(found, self._wanted) >= 0:
            return True
        if depth == 0 and not self._all_platforms:
            raise NotFound(
                f"image '{self._origin.reference}' is for platform '{platforms.shown(found)}', not"
                f" '{platforms.shown(self._wanted)}'; name its platform to pull it",
                details={"field": "platform"},
            )
        return False

    # -- documents ---------------------------------------------------------------------------------------------------

    async def _document(self, descriptor: Descriptor, *, is_manifest: bool) -> bytes:
        limit = MAX_MANIFEST_BYTES if is_manifest else MAX_CONFIG_BYTES
        if descriptor.size > limit:
            raise InvalidArgument(f"document '{descriptor.digest}' has {descriptor.size} bytes, more than {limit}")
        # A damaged one is fetched again, and stored over it.
        with contextlib.suppress(NotFound, DataLoss):
            return await self._resolver.read(self._origin.namespace, descriptor.digest, limit)
        self._say("downloading", descriptor)
        found = await self._fetcher.ask(
            m.GetDocument(reference=self._origin.reference.name, descriptor=descriptor, is_manifest=is_manifest),
            m.Document,
        )
        self._taken.bytes += len(found.data)
        return found.data

    async def _store(self, descriptor: Descriptor, data: bytes, labels: Labels) -> None:
        """Have a document in the content store; one that is there only gets its labels and is held."""
        origin = self._origin
        known = await self._labels(descriptor.digest)
        await self._worker.call(
            "content.put",
            content.Put(expected=descriptor.digest, labels={**labels, **with_source(known, origin.reference)}),
            content.Stored,
            namespace=origin.namespace,
            key=f"{origin.key}/put/{descriptor.digest}",
            lease=origin.lease,
            timeout_s=None,
            payload=[data],
        )
        self._say("done", descriptor)

    async def _labels(self, digest: str) -> Mapping[str, str]:
        try:
            return (await self._resolver.named(self._origin.namespace, digest)).labels
        except NotFound:
            return {}

    def _say(self, event: str, descriptor: Descriptor) -> None:
        done = descriptor.size if event == "done" else 0
        self._origin.report(Progress(event=event, name=descriptor.digest, done=done, total=descriptor.size))
