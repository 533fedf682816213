"""An image as a tree of documents, of which a caller wants some platforms: what is chosen, and what of it is missing.

Where the bytes come from is the caller's matter: `Source` is asked for documents and for sizes. So the choice is the
same for an export and a conversion, and is tested without a content store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.transfer.layout import MAX_DEPTH
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.identifiers import check_digest
from wharfie.oci import platforms
from wharfie.oci.descriptor import CONFIG_TYPES, Descriptor, Platform
from wharfie.oci.image_config import MAX_CONFIG_BYTES, decode_image_config
from wharfie.oci.manifest import MAX_DOCUMENT_BYTES, Index, Manifest, decode_document
from wharfie.oci.variants import ATTESTED

MAX_MANIFESTS = 2000
"""What an image may have of manifests and indexes, those that several of its indexes list counted each time."""


class Source(Protocol):
    """Blobs by digest."""

    async def size(self, digest: str) -> int | None:
        """Bytes of a blob; None when it is not there."""

    async def read(self, digest: str, limit: int) -> bytes:
        """A blob whole and verified, not larger than `limit`. Raises `NotFound`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is wanted of an image.

    Attributes:
        wanted: platforms; with none that of this machine, or the only one there is.
        all_platforms: everything that its indexes list.
        skip_missing: leave out what is not all there instead of failing; never the last that is wanted.
        skip_foreign: leave out layers that may not be passed on.
    """

    wanted: Sequence[Platform] = ()
    all_platforms: bool = False
    skip_missing: bool = False
    skip_foreign: bool = False


@dataclass(frozen=True, kw_only=True)
class Node:
    """A document and those below it that were chosen.

    Attributes:
        children: of an index, in its order.
        blobs: of a manifest, its configuration first, then its layers.
        platform: of a manifest; None when nobody says, and for an index.
    """

    descriptor: Descriptor
    data: bytes
    document: Manifest | Index
    children: tuple[Node, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    platform: Platform | None = None

    @property
    def is_image(self) -> bool:
        """A manifest that something can be run of: no attestation, no other artifact."""
        return (
            isinstance(self.document, Manifest)
            and self.document.config.media_type in CONFIG_TYPES
            and ATTESTED not in (self.descriptor.annotations or {})
        )

    def manifests(self) -> list[Node]:
        """The manifests of the tree, in order."""
        if isinstance(self.document, Manifest):
            return [self]
        return [found for child in self.children for found in child.manifests()]


@dataclass(kw_only=True)
class Chooser:
    """Chooses from images of one source.

    Raises, from `tree`:
        NotFound: no manifest for a platform; a blob that is wanted is missing, `details["digest"]` names it.
        FailedPrecondition: a blob has another size than its descriptor says.
        InvalidArgument: a document is malformed, or indexes are nested too deeply or list too much.
    """

    source: Source
    choice: Choice
    _sizes: dict[str, int | None] = field(default_factory=dict)
    _seen: int = 0

    async def tree(self, target: Descriptor, *, name: str) -> Node:
        """The tree of an image, `name` being what errors call it."""
        self._seen = 0
        node = await self._node(target, name=name, wanted=self.choice.wanted, depth=0, is_required=True)
        assert node is not None, "what is required is there, or an error was raised"
        wanted = self.choice.wanted
        if wanted and isinstance(node.document, Manifest) and node.platform is not None:
            found = node.platform
            if all(platforms.rank(found, one) < 0 for one in wanted):
                raise self._no_platform(name, wanted[0], [found])
        return node

    async def _node(
        self, descriptor: Descriptor, *, name: str, wanted: Sequence[Platform], depth: int, is_required: bool
    ) -> Node | None:
        """A document with what was chosen below it; None when it is not all there and need not be."""
        if not await self._is_there(descriptor, name=name, is_required=is_required):
            return None
        data = await self.source.read(descriptor.digest, MAX_DOCUMENT_BYTES)
        document = decode_document(data, media_type=descriptor.media_type)
        if isinstance(document, Index):
            if depth >= MAX_DEPTH:
                raise InvalidArgument(f"image '{name}' nests indexes deeper than {MAX_DEPTH} levels")
            children = await self._children(document, name=name, wanted=wanted, depth=depth, is_required=is_required)
            if children is None:
                return None
            return Node(descriptor=descriptor, data=data, document=document, children=children)
        blobs = [document.config, *document.layers]
        if self.choice.skip_foreign:
            blobs = [blob for blob in blobs if not is_foreign(blob.media_type)]
        for blob in blobs:
            if not await self._is_there(blob, name=name, is_required=is_required):
                return None
        platform = descriptor.platform or await self._configured(document)
        return Node(descriptor=descriptor, data=data, document=document, blobs=tuple(blobs), platform=platform)

    async def _children(
        self, index: Index, *, name: str, wanted: Sequence[Platform], depth: int, is_required: bool
    ) -> tuple[Node, ...] | None:
        self._seen += len(index.manifests)
        if self._seen > MAX_MANIFESTS:
            raise InvalidArgument(f"image '{name}' lists more than {MAX_MANIFESTS} manifests")
        choice = self.choice
        chosen: dict[int, list[Platform]] = {}
        if choice.all_platforms:
            chosen = {number: [] for number in range(len(index.manifests))}
        else:
            ranked = [await self._platform(child) for child in index.manifests]
            for one in wanted or [platforms.host()]:
                best = _best(index.manifests, ranked, one)
                if best is not None:
                    chosen.setdefault(best, []).append(one)
                elif is_required:
                    raise self._no_platform(name, one, [found for found in ranked if found is not None])
        # What says something about a chosen manifest comes with it, when it is here.
        digests = {index.manifests[number].digest for number in chosen}
        nodes: list[Node] = []
        is_empty = bool(chosen)
        for number, child in enumerate(index.manifests):
            said_of = (child.annotations or {}).get(ATTESTED)
            if number not in chosen and said_of not in digests:
                continue
            must = is_required and number in chosen and not choice.skip_missing
            node = await self._node(
                child, name=name, wanted=chosen.get(number, wanted), depth=depth + 1, is_required=must
            )
            if node is not None:
                nodes.append(node)
                is_empty = is_empty and number not in chosen
        if is_empty:
            if is_required:
                raise NotFound(
                    f"image '{name}' has no manifest of which everything is here; pull or import it again",
                    details={"image": name},
                )
            return None
        return tuple(nodes)

    async def _is_there(self, descriptor: Descriptor, *, name: str, is_required: bool) -> bool:
        digest = descriptor.digest
        size = await self._size(digest)
        if size is None:
            if is_required:
                raise NotFound(
                    f"blob '{digest}' of image '{name}' is not in the content store; pull or import the image again,"
                    " or ask for another platform",
                    details={"digest": digest, "image": name},
                )
            return False
        if size != descriptor.size:
            raise FailedPrecondition(
                f"blob '{digest}' has {size} bytes, its descriptor in image '{name}' says {descriptor.size}",
                details={"digest": digest, "image": name},
            )
        return True

    async def _size(self, digest: str) -> int | None:
        """Bytes of a blob, asked for once; None when it is not there."""
        check_digest(digest)
        if digest not in self._sizes:
            self._sizes[digest] = await self.source.size(digest)
        return self._sizes[digest]

    async def _platform(self, descriptor: Descriptor) -> Platform | None:
        """What a manifest of an index is for; None when nobody says."""
        if descriptor.platform is not None:
            return descriptor.platform
        if await self._size(descriptor.digest) is None:
            return None
        data = await self.source.read(descriptor.digest, MAX_DOCUMENT_BYTES)
        document = decode_document(data, media_type=descriptor.media_type)
        return await self._configured(document) if isinstance(document, Manifest) else None

    async def _configured(self, manifest: Manifest) -> Platform | None:
        """The platform that an image's configuration says."""
        config = manifest.config
        if config.media_type not in CONFIG_TYPES or await self._size(config.digest) is None:
            return None
        said = decode_image_config(await self.source.read(config.digest, MAX_CONFIG_BYTES))
        if not said.os or not said.architecture:
            return None
        return platforms.normalized(said.os, said.architecture, said.variant or "")

    def _no_platform(self, name: str, wanted: Platform, found: Sequence[Platform]) -> NotFound:
        offered = ", ".join(sorted({platforms.shown(one) for one in found if one.os != "unknown"})[:10])
        return NotFound(
            f"image '{name}' has no manifest for platform '{platforms.shown(wanted)}'; there are:"
            f" {offered or 'none that says'}",
            details={"field": "platform", "image": name},
        )


def is_foreign(media_type: str) -> bool:
    """Whether a layer is one that may not be passed on (image-spec, layer.md, "Non-Distributable Layers")."""
    return ".nondistributable." in media_type or ".foreign." in media_type


def _best(manifests: Sequence[Descriptor], found: Sequence[Platform | None], wanted: Platform) -> int | None:
    """The number of the manifest that fits best, the first of equals; None when none does."""
    ranked = []
    for number, (descriptor, platform) in enumerate(zip(manifests, found, strict=True)):
        if ATTESTED in (descriptor.annotations or {}):
            continue
        grade = platforms.rank(platform, wanted)
        if grade >= 0:
            ranked.append((grade, number))
    return min(ranked)[1] if ranked else None
