"""From an image in the content store to the layers to unpack.

Blobs are read where the content worker keeps them, and only those that the namespace names: what a manifest refers to
is a stranger's claim.
"""

from __future__ import annotations

import os

from actors.content.store import blob_path
from actors.transfer.blobs import digest_of
from actors.transfer.layersource import Opened
from actors.transfer.layout import MAX_DEPTH, check_diff_ids
from actors.transfer.plan import Layer, RootFs
from actors.transfer.selection import platform_of
from actors.worker import Worker
from config.paths import Paths
from wharfie.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from wharfie.identifiers import check_digest
from wharfie.oci import platforms
from wharfie.oci.descriptor import CONFIG_TYPES, Platform
from wharfie.oci.image_config import MAX_CONFIG_BYTES, ImageConfig, decode_image_config
from wharfie.oci.manifest import MAX_DOCUMENT_BYTES, Index, Manifest, decode_document
from wharfie.types import content
from wharfie.types.base import Descriptor


class Resolver:
    """Reads manifests and configurations of images that are there."""

    def __init__(self, worker: Worker, *, paths: Paths) -> None:
        self._worker = worker
        self._blobs = f"{paths.content}/blobs"

    async def rootfs(self, namespace: str, target: Descriptor, *, name: str, platform: Platform) -> RootFs:
        """The layers of an image for a platform.

        Raises:
            NotFound: nothing for this platform, or a blob is not there.
            FailedPrecondition: this is no image with layers.
            InvalidArgument: a document is malformed.
        """
        digest, manifest = await self._manifest(namespace, target, name=name, platform=platform)
        if manifest.config.media_type not in CONFIG_TYPES:
            raise FailedPrecondition(
                f"image '{name}' cannot be unpacked: its configuration has media type '{manifest.config.media_type}'"
            )
        config = await self._config(namespace, manifest)
        rootfs = rootfs_of(digest, manifest, config)
        for layer in rootfs.layers:
            await self.named(namespace, layer.digest)
        return rootfs

    def open_layer(self, layer: Layer) -> Opened:
        """A layer's bytes where the content worker has them.

        Raises:
            NotFound: they are gone.
        """
        return self.open_blob(layer.digest)

    def open_blob(self, digest: str) -> Opened:
        """A blob's bytes; ask `named` first. Raises: NotFound."""
        fd = self._open(digest)
        return fd, 0, os.fstat(fd).st_size

    async def documents(
        self, namespace: str, target: Descriptor, *, name: str, platform: Platform
    ) -> tuple[Manifest, bytes]:
        """An image's manifest for a platform, and its configuration as it stands. Raises as `rootfs`."""
        _, manifest = await self._manifest(namespace, target, name=name, platform=platform)
        return manifest, await self.read(namespace, manifest.config.digest, MAX_CONFIG_BYTES)

    async def _manifest(
        self, namespace: str, target: Descriptor, *, name: str, platform: Platform
    ) -> tuple[str, Manifest]:
        digest, media_type = target.digest, target.media_type
        for _ in range(MAX_DEPTH + 1):
            document = decode_document(await self.read(namespace, digest, MAX_DOCUMENT_BYTES), media_type=media_type)
            if isinstance(document, Manifest):
                return digest, document
            digest, media_type = await self._choose(namespace, document, name=name, platform=platform)
        raise InvalidArgument(f"image '{name}' nests indexes deeper than {MAX_DEPTH} levels")

    async def _choose(self, namespace: str, index: Index, *, name: str, platform: Platform) -> tuple[str, str]:
        ranked = []
        for number, child in enumerate(index.manifests):
            found = child.platform or await self._platform(namespace, child.digest)
            grade = platforms.rank(found, platform)
            if grade >= 0:
                ranked.append((grade, number))
        if not ranked:
            raise NotFound(
                f"image '{name}' has no manifest for platform '{platforms.shown(platform)}'",
                details={"field": "platform"},
            )
        chosen = index.manifests[min(ranked)[1]]
        return chosen.digest, chosen.media_type

    async def _platform(self, namespace: str, digest: str) -> Platform | None:
        """A manifest's platform from its configuration; None when it is not there or does not say."""
        try:
            document = decode_document(await self.read(namespace, digest, MAX_DOCUMENT_BYTES))
            if not isinstance(document, Manifest) or document.config.media_type not in CONFIG_TYPES:
                return None
            config = await self._config(namespace, document)
        except NotFound:
            return None
        return platform_of(config)

    async def _config(self, namespace: str, manifest: Manifest) -> ImageConfig:
        return decode_image_config(await self.read(namespace, manifest.config.digest, MAX_CONFIG_BYTES))

    async def read(self, namespace: str, digest: str, limit: int) -> bytes:
        """A document, verified. Raises: NotFound, DataLoss; InvalidArgument when it has more than `limit` bytes."""
        await self.named(namespace, digest)
        fd = self._open(digest)
        with open(fd, "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InvalidArgument(f"blob '{digest}' has more than {limit} bytes, too many for a document")
        if digest_of(data, like=digest) != digest:
            raise DataLoss(
                f"blob '{digest}' has other bytes than its digest says; delete it and import the image again"
            )
        return data

    async def named(self, namespace: str, digest: str) -> content.Info:
        """Pass when the namespace names a blob; what is known of it."""
        check_digest(digest)
        ask = content.GetInfo(digest=digest)
        return await self._worker.call("content.info", ask, content.Info, namespace=namespace)

    def is_whole(self, blob: content.Info) -> bool:
        """Whether as many bytes are there as the namespace knows of. Without them a blob has to be stored again."""
        try:
            return os.stat(blob_path(self._blobs, blob.digest), follow_symlinks=False).st_size == blob.size
        except FileNotFoundError:
            return False

    def source(self, namespace: str) -> NamespaceSource:
        """The blobs of a namespace, for a `Chooser`."""
        return NamespaceSource(self, namespace)

    def _open(self, digest: str) -> int:
        try:
            return os.open(blob_path(self._blobs, digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotFound(f"blob '{digest}' not found; import the image again", details={"digest": digest}) from None


class NamespaceSource:
    """The blobs that one namespace names; see `imagetree.Source`."""

    def __init__(self, resolver: Resolver, namespace: str) -> None:
        self._resolver = resolver
        self._namespace = namespace

    async def size(self, digest: str) -> int | None:
        """Bytes of a blob; None when the namespace does not name it."""
        try:
            return (await self._resolver.named(self._namespace, digest)).size
        except NotFound:
            return None

    async def read(self, digest: str, limit: int) -> bytes:
        """A blob whole and verified."""
        return await self._resolver.read(self._namespace, digest, limit)


def rootfs_of(digest: str, manifest: Manifest, config: ImageConfig) -> RootFs:
    """What is unpacked of a manifest of this digest, with its configuration. Pure.

    Raises:
        InvalidArgument: the configuration has not one diff id for each layer.
    """
    diff_ids = check_diff_ids(config, manifest=digest, layers=len(manifest.layers))
    return RootFs(
        manifest=digest,
        config=manifest.config.digest,
        layers=[
            Layer(digest=layer.digest, media_type=layer.media_type, size=layer.size, diff_id=diff_id)
            for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
        ],
    )
