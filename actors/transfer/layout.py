"""An OCI image layout, in a tar or a directory, read into a plan.

Of an index only the manifest for the wanted platform is taken, or with `all_platforms` every one of which the archive
has all of it. What belongs to another platform may be missing; what is wanted may not. What attests something of a
manifest that is taken comes with it, as content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from actors.transfer import naming
from actors.transfer.blobs import Blobs, digest_of, index_labels, manifest_labels, sha256
from actors.transfer.plan import Layer, NamedImage, Plan, ReadArchive, RootFs, Source
from actors.transfer.tarindex import Member
from wharfie.errors import InvalidArgument, NotFound
from wharfie.identifiers import check_digest, check_media_type
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.oci.descriptor import CONFIG_TYPES, MANIFEST_TYPES, Platform
from wharfie.oci.image_config import MAX_CONFIG_BYTES, ImageConfig, decode_image_config
from wharfie.oci.manifest import MAX_DOCUMENT_BYTES, Index, Manifest, decode_document, decode_index
from wharfie.oci.variants import ATTESTED
from wharfie.types.base import Descriptor

MAX_DEPTH = 8
"""Indexes within indexes."""

_MAX_READ_BYTES = 512 * 1024 * 1024
"""What all documents of an archive may weigh together, those that are read twice counted twice."""

_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)


class Members(Protocol):
    """The files of a layout: a `TarIndex` or a `DirectoryIndex`."""

    def find(self, name: str) -> Member | None:
        """A file's place; None when there is no such file."""

    def read(self, name: str, *, limit: int) -> bytes:
        """A file whole. Raises: NotFound, InvalidArgument when it is larger."""

    def source(self, name: str) -> Source | None:
        """Where a file's bytes are; None when there is no such file."""


class _LayoutFile(msgspec.Struct, frozen=True, kw_only=True):
    version: str = msgspec.field(default="", name="imageLayoutVersion")


class _Entry(NamedTuple):
    """An entry of the top index, and the name it has in the archive."""

    name: str
    descriptor: oci.Descriptor


class Layout:
    """Reads one archive; `plan` is called once.

    Args:
        tar: the members, or the files of a directory.
        request: what the caller wants of it.
    """

    def __init__(self, tar: Members, request: ReadArchive) -> None:
        self._tar = tar
        self._request = request
        self._wanted = platforms.parse(request.platform)
        self._blobs = Blobs()
        self._images: dict[str, NamedImage] = {}
        self._unpacks: dict[str, RootFs] = {}
        self._read_bytes = 0

    @staticmethod
    def matches(tar: Members) -> bool:
        """Whether the archive is one."""
        return tar.find("oci-layout") is not None and tar.find("index.json") is not None

    def plan(self) -> Plan:
        """Everything that is to be taken in.

        Raises:
            InvalidArgument: a document is malformed, ambiguous or of an old schema; a blob is missing; no name.
            NotFound: nothing for the wanted platform.
        """
        self._check_version()
        data = self._tar.read("index.json", limit=MAX_DOCUMENT_BYTES)
        index = decode_index(data)
        names = naming.of_entries(
            [entry.annotations or {} for entry in index.manifests], base_name=self._request.base_name
        )
        entries = [_Entry(name, entry) for name, entry in zip(names, index.manifests, strict=True)]
        if not entries:
            raise InvalidArgument("archive holds no image: 'index.json' is empty", details={"field": "path"})
        for entry in entries:
            _check_descriptor(entry.descriptor)
        if self._request.names:
            self._rename(entries, data, index)
        else:
            self._named(entries)
        return Plan(blobs=self._blobs.all(), images=list(self._images.values()), unpacks=list(self._unpacks.values()))

    def _check_version(self) -> None:
        data = self._tar.read("oci-layout", limit=64 * 1024)
        try:
            version = msgspec.json.decode(data, type=_LayoutFile).version
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidArgument(f"file 'oci-layout' of the archive is malformed: {error}") from None
        if not version.startswith("1."):
            raise InvalidArgument(f"archive's layout version is '{version[:32]}'; only 1.x is known")

    # -- names -------------------------------------------------------------------------------------------------------

    def _rename(self, entries: Sequence[_Entry], data: bytes, index: Index) -> None:
        """The names of the request, for the only image."""
        if len({entry.name for entry in entries}) > 1:
            shown = ", ".join(f"'{entry.name}'" for entry in entries[:5])
            raise InvalidArgument(
                f"archive holds several images ({shown}); import it without names, then tag them",
                details={"field": "names"},
            )
        if len(entries) == 1:
            target = self._take(entries[0].descriptor)
        else:
            # One image for several platforms, listed in the top index itself.
            children = self._children(index, depth=0, wanted=True, of="index.json")
            target = Descriptor(media_type=oci.MEDIA_TYPE_INDEX, digest=sha256(data), size=len(data))
            self._blobs.add(
                target.digest,
                media_type=target.media_type,
                source=Source(length=len(data), data=data),
                labels=index_labels([child.digest for child in index.manifests], children),
            )
        for name in self._request.names:
            self._name(name, target)

    def _named(self, entries: Sequence[_Entry]) -> None:
        unnamed = [entry for entry in entries if not entry.name]
        base_name = self._request.base_name
        if unnamed and base_name:
            only = len(unnamed) == 1
            entries = [
                entry if entry.name else _Entry(_base(base_name, entry.descriptor.digest, only=only), entry.descriptor)
                for entry in entries
            ]
        elif len(unnamed) == len(entries):
            raise InvalidArgument("archive does not name its image; give a name", details={"field": "names"})
        groups: dict[str, list[oci.Descriptor]] = {}
        for entry in entries:
            if entry.name:
                groups.setdefault(entry.name, []).append(entry.descriptor)
        for name, descriptors in groups.items():
            # The same name twice: the manifest that this machine runs, else the last one.
            chosen = self._best(descriptors) if len(descriptors) > 1 else descriptors[0]
            self._name(name, self._take(chosen or descriptors[-1]))

    def _name(self, name: str, target: Descriptor) -> None:
        """Name an image, also by its digest when that is asked for."""
        self._images[name] = NamedImage(name=name, target=target)
        if not self._request.digests:
            return
        other = naming.with_digest(name, target.digest, base_name=self._request.base_name)
        if other:
            self._images.setdefault(other, NamedImage(name=other, target=target))

    def _take(self, descriptor: oci.Descriptor) -> Descriptor:
        self._walk(descriptor, depth=0, wanted=True)
        return Descriptor(
            media_type=descriptor.media_type,
            digest=descriptor.digest,
            size=descriptor.size,
            annotations=dict(descriptor.annotations or {}),
        )

    # -- the tree ----------------------------------------------------------------------------------------------------

    def _walk(self, descriptor: oci.Descriptor, *, depth: int, wanted: bool) -> bool:
        """Take a manifest or index with all that it refers to. Returns whether it is there.

        `wanted`: an image's name stands for it, so it must be there; else it is taken only when it is whole.
        """
        if descriptor.digest in self._blobs and (not wanted or descriptor.digest in self._unpacks):
            return True
        if not wanted and self._tar.find(_path(descriptor.digest)) is None:
            return False
        data = self._document(descriptor)
        document = decode_document(data, media_type=descriptor.media_type)
        if isinstance(document, Index):
            if depth >= MAX_DEPTH:
                raise InvalidArgument(f"archive nests indexes deeper than {MAX_DEPTH} levels")
            children = self._children(document, depth=depth, wanted=wanted, of=descriptor.digest)
            labels = index_labels([child.digest for child in document.manifests], children)
        else:
            for child in (document.config, *document.layers):
                _check_descriptor(child)
            if not wanted and not self._is_whole(document):
                return False
            self._manifest(descriptor, document, wanted=wanted)
            labels = manifest_labels(document.config.digest, [layer.digest for layer in document.layers])
        self._add(descriptor, labels)
        return True

    def _children(self, index: Index, *, depth: int, wanted: bool, of: str) -> list[str]:
        """Take the manifests of an index; returns the digests of those that were taken."""
        for child in index.manifests:
            _check_descriptor(child)
        best = self._best(index.manifests)
        if wanted and best is None and not self._request.all_platforms:
            raise NotFound(
                f"image '{of}' has no manifest for platform '{platforms.shown(self._wanted)}'; there are:"
                f" {self._offered(index)}",
                details={"field": "platform"},
            )
        digests = {best.digest} if wanted and best is not None else set()
        taken = []
        for child in index.manifests:
            is_best = wanted and child is best
            if (is_best or self._request.all_platforms or _attested(child) in digests) and self._walk(
                child, depth=depth + 1, wanted=is_best
            ):
                taken.append(child.digest)
        return taken

    def _best(self, descriptors: Sequence[oci.Descriptor]) -> oci.Descriptor | None:
        """The one that fits the wanted platform best; the first of equals."""
        ranked = []
        for number, candidate in enumerate(descriptors):
            if _attested(candidate):
                continue
            grade = platforms.rank(self._platform(candidate), self._wanted)
            if grade >= 0:
                ranked.append((grade, number))
        return descriptors[min(ranked)[1]] if ranked else None

    def _platform(self, descriptor: oci.Descriptor) -> Platform | None:
        """A manifest's platform, from its configuration when its descriptor does not say; None when nobody says."""
        if descriptor.platform is not None:
            return descriptor.platform
        if descriptor.media_type not in MANIFEST_TYPES or self._tar.find(_path(descriptor.digest)) is None:
            return None
        document = decode_document(self._document(descriptor), media_type=descriptor.media_type)
        if not isinstance(document, Manifest):
            return None
        _check_descriptor(document.config)
        if document.config.media_type not in CONFIG_TYPES or self._tar.find(_path(document.config.digest)) is None:
            return None
        return _platform_of(self._config(document.config))

    def _offered(self, index: Index) -> str:
        names = [platforms.shown(child.platform) for child in index.manifests if child.platform is not None]
        return ", ".join(names[:10]) or "none that says"

    def _is_whole(self, manifest: Manifest) -> bool:
        return all(self._tar.find(_path(child.digest)) is not None for child in (manifest.config, *manifest.layers))

    def _manifest(self, descriptor: oci.Descriptor, manifest: Manifest, *, wanted: bool) -> None:
        for child in (*manifest.layers, manifest.config):
            self._add(child, None)
        if not wanted or manifest.config.media_type not in CONFIG_TYPES:
            return
        config = self._config(manifest.config)
        platform = _platform_of(config)
        if platform is not None and platforms.rank(platform, self._wanted) < 0:
            if self._request.all_platforms:
                return
            raise NotFound(
                f"image '{descriptor.digest}' is for platform '{platforms.shown(platform)}', not"
                f" '{platforms.shown(self._wanted)}'; name its platform to import it",
                details={"field": "platform"},
            )
        diff_ids = check_diff_ids(config, manifest=descriptor.digest, layers=len(manifest.layers))
        self._unpacks[descriptor.digest] = RootFs(
            manifest=descriptor.digest,
            config=manifest.config.digest,
            layers=[
                Layer(
                    digest=layer.digest,
                    media_type=layer.media_type,
                    size=layer.size,
                    diff_id=diff_id,
                    source=self._source(layer),
                )
                for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
            ],
        )

    # -- blobs -------------------------------------------------------------------------------------------------------

    def _source(self, descriptor: oci.Descriptor) -> Source:
        source = self._tar.source(_path(descriptor.digest))
        if source is None:
            raise InvalidArgument(
                f"blob '{descriptor.digest}' is missing from the archive", details={"digest": descriptor.digest}
            )
        if source.length != descriptor.size:
            raise InvalidArgument(
                f"blob '{descriptor.digest}' has {source.length} bytes in the archive, its descriptor says"
                f" {descriptor.size}",
                details={"digest": descriptor.digest},
            )
        return source

    def _add(self, descriptor: oci.Descriptor, labels: dict[str, str] | None) -> None:
        source = self._source(descriptor)
        self._blobs.add(descriptor.digest, media_type=descriptor.media_type, source=source, labels=labels)

    def _document(self, descriptor: oci.Descriptor, *, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """A document, verified."""
        self._read_bytes += self._source(descriptor).length
        if self._read_bytes > _MAX_READ_BYTES:
            raise InvalidArgument(f"documents of the archive have more than {_MAX_READ_BYTES} bytes together")
        data = self._tar.read(_path(descriptor.digest), limit=limit)
        if digest_of(data, like=descriptor.digest) != descriptor.digest:
            raise InvalidArgument(
                f"blob '{descriptor.digest}' of the archive has other bytes than its digest says",
                details={"digest": descriptor.digest},
            )
        return data

    def _config(self, descriptor: oci.Descriptor) -> ImageConfig:
        return decode_image_config(self._document(descriptor, limit=MAX_CONFIG_BYTES))


def _attested(descriptor: oci.Descriptor) -> str:
    """Digest of the manifest that this one says something about; empty for an image."""
    return (descriptor.annotations or {}).get(ATTESTED, "")


def _path(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _base(base_name: str, digest: str, *, only: bool) -> str:
    return f"{base_name}:latest" if only else f"{base_name}@{digest}"


def _check_descriptor(descriptor: oci.Descriptor) -> None:
    """Pass when a descriptor can be worked with; old schemas are refused by their type."""
    check_digest(descriptor.digest)
    if descriptor.media_type in _SCHEMA_1:
        raise InvalidArgument(
            f"manifest '{descriptor.digest}' has schema 1, which is not supported; convert the image to schema 2",
            details={"media_type": descriptor.media_type},
        )
    check_media_type(descriptor.media_type, field="mediaType")
    if descriptor.size < 0:
        raise InvalidArgument(f"descriptor of '{descriptor.digest}' has a negative size")


def _platform_of(config: ImageConfig) -> Platform | None:
    if not config.os or not config.architecture:
        return None
    return platforms.normalized(config.os, config.architecture, config.variant or "")


def check_diff_ids(config: ImageConfig, *, manifest: str, layers: int) -> tuple[str, ...]:
    """The diff ids of a configuration, one for each layer.

    Raises:
        InvalidArgument: there are more or fewer, or one is no digest.
    """
    diff_ids = (config.rootfs.diff_ids if config.rootfs is not None else None) or ()
    if len(diff_ids) != layers:
        raise InvalidArgument(
            f"image '{manifest}' has {layers} layers, its configuration has {len(diff_ids)} diff ids",
            details={"field": "rootfs.diff_ids"},
        )
    for diff_id in diff_ids:
        check_digest(diff_id, field="rootfs.diff_ids")
    return diff_ids
