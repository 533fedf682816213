"""What is known of an image: its documents, its variants, how much of it is here, how it came to be.

Read by the client from the content store: no worker spends its time on it.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence

import msgspec

from wharfie import errors
from wharfie._async.base import UNSET, Service
from wharfie._async.content import Content
from wharfie._async.snapshots import Snapshots
from wharfie.oci import history, platforms, variants
from wharfie.oci.descriptor import CONFIG_TYPES, Descriptor
from wharfie.oci.image_config import ImageConfig, decode_image_config
from wharfie.oci.manifest import Index, Manifest, decode_document
from wharfie.oci.variants import Variant
from wharfie.types import images as t

_MAX_DEPTH = 8
"""Indexes within indexes."""

_MAX_MANIFESTS = 2000
"""Of one index, those that are looked at."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """An image and what of it is here.

    Attributes:
        indexes: its documents that list others, as far as they are here.
        variants: its manifests, in order.
        unpacked: platforms whose layers are ready to run.
    """

    image: t.Image
    indexes: tuple[Descriptor, ...] = ()
    variants: tuple[Variant, ...] = ()
    unpacked: tuple[str, ...] = ()

    @property
    def present(self) -> dict[str, int]:
        """Digest and size of its blobs that are here."""
        return variants.present(self.variants, self.indexes)

    @property
    def content_bytes(self) -> int:
        """Bytes of its blobs that are here, each counted once."""
        return sum(self.present.values())

    @property
    def best(self) -> Variant | None:
        """What of it this machine runs, or else what there is."""
        return variants.best(self.variants)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an image takes of the disk.

    Attributes:
        content: bytes of its blobs, those that it shares with others too.
        snapshots: bytes of its unpacked layers, the same.
        layers: snapshot and bytes of each of them.
    """

    name: str
    content: int
    snapshots: int
    layers: dict[str, int] = {}


class ImageFacts(Service):
    """Questions about images that are here."""

    async def get(self, name: str, *, timeout_s: float | None = UNSET) -> t.Image:
        """An image by name.

        Raises:
            NotFound: no image has this name; `import` or `tag` one first.
        """
        return await self._caller.call("images.get", t.Get(name=name), t.Image, timeout_s=timeout_s)

    async def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Image]:
        """All images that match any filter, by name."""
        return (
            await self._caller.call("images.list", t.List(filters=[*filters]), t.Listing, timeout_s=timeout_s)
        ).images

    async def manifest(self, name: str, *, platform: str = "", timeout_s: float | None = UNSET) -> Manifest:
        """An image's manifest for a platform (`os/arch`; empty is this machine's).

        Raises:
            NotFound: no such image, or not for this platform.
        """
        image = await self.get(name, timeout_s=timeout_s)
        content = Content(self._caller)
        digest = image.target.digest
        for _ in range(_MAX_DEPTH):
            document = decode_document(await content.read(digest, timeout_s=timeout_s))
            if isinstance(document, Manifest):
                return document
            digest = choose(document, platform, name)
        raise errors.FailedPrecondition(f"image '{name}' nests indexes deeper than {_MAX_DEPTH} levels")

    async def config(self, name: str, *, platform: str = "", timeout_s: float | None = UNSET) -> ImageConfig:
        """An image's configuration."""
        manifest = await self.manifest(name, platform=platform, timeout_s=timeout_s)
        return decode_image_config(await Content(self._caller).read(manifest.config.digest, timeout_s=timeout_s))

    async def check(
        self,
        names: Sequence[str] = (),
        *,
        filters: Sequence[str] = (),
        snapshotter: str = "",
        timeout_s: float | None = UNSET,
    ) -> builtins.list[Checked]:
        """What of images is here: blobs for each platform, and snapshots.

        The bytes are not read; `client.content.check` does.

        Args:
            names: which images; with none all that match `filters`.
            filters: as of `list`.
            snapshotter: where snapshots are looked for; empty is the daemon's default.
            timeout_s: of each call.
        """
        if names:
            images = [await self.get(name, timeout_s=timeout_s) for name in names]
        else:
            images = await self.list(filters, timeout_s=timeout_s)
        here = {info.digest: info.size for info in await Content(self._caller).list(timeout_s=timeout_s)}
        committed = {
            info.name
            for info in await Snapshots(self._caller).list(
                ["kind==committed"], snapshotter=snapshotter, timeout_s=timeout_s
            )
        }
        found = []
        for image in images:
            target = Descriptor(media_type=image.target.media_type, digest=image.target.digest, size=image.target.size)
            indexes: dict[str, Descriptor] = {}
            manifests = await self._variants(target, here, indexes, timeout_s=timeout_s)
            unpacked = [
                one.platform for one in manifests if one.is_image and one.chain_ids and one.chain_ids[-1] in committed
            ]
            found.append(
                Checked(
                    image=image,
                    indexes=(*indexes.values(),),
                    variants=(*manifests,),
                    unpacked=(*dict.fromkeys(unpacked),),
                )
            )
        return found

    async def _variants(
        self,
        target: Descriptor,
        here: dict[str, int],
        indexes: dict[str, Descriptor],
        *,
        timeout_s: float | None,
        depth: int = 0,
    ) -> builtins.list[Variant]:
        """The manifests below a document; what several indexes list is told once."""
        if target.digest not in here or depth >= _MAX_DEPTH:
            return [variants.unavailable(target)]
        content = Content(self._caller)
        try:
            data = await content.read(target.digest, timeout_s=timeout_s)
            document = decode_document(data, media_type=target.media_type)
            if isinstance(document, Manifest):
                config = await self._configuration(document, here, timeout_s=timeout_s)
                return [variants.variant(target, document, config, here=here)]
        except errors.NotFound:
            # It was removed while we looked.
            return [variants.unavailable(target)]
        except errors.InvalidArgument:
            return [variants.unreadable(target)]
        indexes[target.digest] = target
        found: dict[str, Variant] = {}
        for child in document.manifests[:_MAX_MANIFESTS]:
            if child.digest not in indexes and child.digest not in found:
                below = await self._variants(child, here, indexes, timeout_s=timeout_s, depth=depth + 1)
                found |= {one.manifest.digest: one for one in below}
        return [*found.values()]

    async def _configuration(
        self, manifest: Manifest, here: dict[str, int], *, timeout_s: float | None
    ) -> ImageConfig | None:
        """An image's configuration; None when it is not here, or none."""
        if manifest.config.media_type not in CONFIG_TYPES or manifest.config.digest not in here:
            return None
        try:
            data = await Content(self._caller).read(manifest.config.digest, timeout_s=timeout_s)
            return decode_image_config(data)
        except (errors.NotFound, errors.InvalidArgument):
            return None

    async def history(
        self, name: str, *, platform: str = "", timeout_s: float | None = UNSET
    ) -> builtins.list[history.Step]:
        """How an image came to be, the first step first.

        Raises:
            NotFound: no such image, or not for this platform, or not all of its documents are here.
        """
        (checked,) = await self.check([name], timeout_s=timeout_s)
        chosen = variants.best(checked.variants, platform=platform)
        if chosen is None or len(chosen.required) == 1:
            raise errors.NotFound(
                f"image '{name}' has no manifest for platform '{platform or this_platform()}' here",
                details={"platform": platform},
            )
        _, config, *layers = chosen.required
        data = await Content(self._caller).read(config.digest, timeout_s=timeout_s)
        return history.steps(data, layers, chosen.chain_ids)

    async def usage(
        self, names: Sequence[str] = (), *, snapshotter: str = "", timeout_s: float | None = UNSET
    ) -> builtins.list[Usage]:
        """What images take of the disk, with what they share with one another counted for each of them.

        Args:
            names: which images; with none all.
            snapshotter: where the layers are; empty is the daemon's default.
            timeout_s: of each call.
        """
        measured: dict[str, int] = {}
        found = []
        for checked in await self.check(names, snapshotter=snapshotter, timeout_s=timeout_s):
            layers: dict[str, int] = {}
            for variant in checked.variants:
                for chain_id in variant.chain_ids if variant.platform in checked.unpacked else ():
                    if chain_id not in measured:
                        usage = await Snapshots(self._caller).usage(
                            chain_id, snapshotter=snapshotter, timeout_s=timeout_s
                        )
                        measured[chain_id] = usage.size
                    layers[chain_id] = measured[chain_id]
            found.append(
                Usage(
                    name=checked.image.name,
                    content=checked.content_bytes,
                    snapshots=sum(layers.values()),
                    layers=layers,
                )
            )
        return found


def this_platform() -> str:
    """`os/arch` of this machine in OCI's names."""
    return platforms.shown(platforms.host())


def choose(index: Index, platform: str, name: str) -> str:
    """The digest of the manifest of an index that fits a platform best.

    Raises:
        NotFound: none does.
    """
    wanted = platforms.parse(platform)
    ranked = []
    for number, entry in enumerate(index.manifests):
        if variants.ATTESTED in (entry.annotations or {}):
            continue
        grade = platforms.rank(entry.platform, wanted)
        if grade >= 0:
            ranked.append((grade, number))
    if not ranked:
        shown = platforms.shown(wanted)
        raise errors.NotFound(f"image '{name}' has no manifest for platform '{shown}'", details={"platform": shown})
    return index.manifests[min(ranked)[1]].digest
