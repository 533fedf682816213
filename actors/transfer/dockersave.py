"""An archive of `docker save` (v1.1 and later: it has `manifest.json`), read into a plan.

Such an archive has no manifests, so they are made here, the same bytes each time. Layers keep the form they have in the
archive, plain as a rule; a layer that is a link to another image's is found.
"""

from __future__ import annotations

import hashlib

import msgspec

from actors.transfer import naming
from actors.transfer.blobs import Blobs, manifest_labels, sha256
from actors.transfer.layout import check_diff_ids
from actors.transfer.plan import Layer, NamedImage, Plan, ReadArchive, RootFs, Source
from actors.transfer.spool import compression
from actors.transfer.tarindex import Member, TarIndex
from wharfie.errors import InvalidArgument, NotFound
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.oci.image_config import MAX_CONFIG_BYTES, decode_image_config
from wharfie.oci.manifest import MAX_DOCUMENT_BYTES, Manifest
from wharfie.types.base import Descriptor

_LAYER_TYPES = {
    "": oci.MEDIA_TYPE_DOCKER_LAYER,
    "gzip": oci.MEDIA_TYPE_DOCKER_LAYER_GZIP,
    "zstd": oci.MEDIA_TYPE_DOCKER_LAYER_ZSTD,
}


class _Saved(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image of `manifest.json`."""

    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


class DockerSave:
    """Reads one archive; `plan` is called once."""

    def __init__(self, tar: TarIndex, request: ReadArchive) -> None:
        self._tar = tar
        self._request = request
        self._wanted = platforms.parse(request.platform)
        self._blobs = Blobs()
        self._unpacks: dict[str, RootFs] = {}
        self._digests: dict[Member, str] = {}

    @staticmethod
    def matches(tar: TarIndex) -> bool:
        """Whether the archive is one."""
        return tar.find("manifest.json") is not None

    def plan(self) -> Plan:
        """Everything that is to be taken in.

        Raises:
            InvalidArgument: a document is malformed, a file is missing, or no name.
            NotFound: an image is for another platform.
        """
        saved = self._saved()
        if self._request.names and len(saved) > 1:
            raise InvalidArgument(
                f"archive holds {len(saved)} images; import it without names, then tag them",
                details={"field": "names"},
            )
        images = [
            NamedImage(name=name, target=target)
            for image in saved
            if (names := self._names(image, only=len(saved) == 1))
            for target in [self._image(image)]
            for name in dict.fromkeys(each for name in names for each in (name, self._by_digest(name, target)) if each)
        ]
        if not images:
            raise InvalidArgument("archive does not name its image; give a name", details={"field": "names"})
        return Plan(blobs=self._blobs.all(), images=images, unpacks=list(self._unpacks.values()))

    def _saved(self) -> list[_Saved]:
        data = self._tar.read("manifest.json", limit=MAX_DOCUMENT_BYTES)
        try:
            saved = msgspec.json.decode(data, type=list[_Saved])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidArgument(f"file 'manifest.json' of the archive is malformed: {error}") from None
        if not saved:
            raise InvalidArgument("archive holds no image: 'manifest.json' is empty", details={"field": "path"})
        return saved

    def _names(self, image: _Saved, *, only: bool) -> list[str]:
        if self._request.names:
            return list(dict.fromkeys(self._request.names))
        names = list(dict.fromkeys(naming.with_tag(tag) for tag in image.repo_tags or ()))
        if not names and self._request.base_name and only:
            return [naming.with_tag(self._request.base_name)]
        return names

    def _by_digest(self, name: str, target: Descriptor) -> str:
        """The second name of an image, when it is to have one."""
        request = self._request
        return naming.with_digest(name, target.digest, base_name=request.base_name) if request.digests else ""

    def _image(self, image: _Saved) -> Descriptor:
        """Take an image with its layers; returns the descriptor of the manifest that was made for it."""
        config_member = self._member(image.config)
        data = self._tar.read_at(config_member, limit=MAX_CONFIG_BYTES, name=image.config)
        config = decode_image_config(data)
        paths = image.layers or ()
        diff_ids = check_diff_ids(config, manifest=image.config[:128], layers=len(paths))
        layers = [self._layer(path, diff_id) for path, diff_id in zip(paths, diff_ids, strict=True)]
        config_digest = sha256(data)
        manifest = Manifest(
            media_type=oci.MEDIA_TYPE_DOCKER_MANIFEST,
            config=oci.Descriptor(media_type=oci.MEDIA_TYPE_DOCKER_CONFIG, digest=config_digest, size=len(data)),
            layers=tuple(
                oci.Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size) for layer in layers
            ),
        )
        # `schemaVersion` is a default and would be left out, but readers insist on it.
        document = msgspec.json.encode({"schemaVersion": 2, **msgspec.to_builtins(manifest)})
        target = Descriptor(media_type=oci.MEDIA_TYPE_DOCKER_MANIFEST, digest=sha256(document), size=len(document))
        self._blobs.add(config_digest, media_type=oci.MEDIA_TYPE_DOCKER_CONFIG, source=_source(config_member))
        self._blobs.add(
            target.digest,
            media_type=target.media_type,
            source=Source(length=len(document), data=document),
            labels=manifest_labels(config_digest, [layer.digest for layer in layers]),
        )
        if self._runs_here(image, config.os, config.architecture, config.variant or ""):
            self._unpacks[target.digest] = RootFs(manifest=target.digest, config=config_digest, layers=layers)
        return target

    def _runs_here(self, image: _Saved, system: str, architecture: str, variant: str) -> bool:
        if not system or not architecture:
            return True
        platform = platforms.normalized(system, architecture, variant)
        if platforms.rank(platform, self._wanted) >= 0:
            return True
        if self._request.all_platforms:
            return False
        raise NotFound(
            f"image '{(image.repo_tags or (image.config,))[0][:128]}' is for platform '{platforms.shown(platform)}',"
            f" not '{platforms.shown(self._wanted)}'; name its platform to import it",
            details={"field": "platform"},
        )

    def _layer(self, path: str, diff_id: str) -> Layer:
        member = self._member(path)
        head = self._tar.read_at(Member(member.offset, min(member.size, 6)), limit=6, name=path)
        kind = compression(head)
        # The digest of a plain tar is its diff id, which taking it in will verify; others have to be read.
        digest = self._hash(member) if kind else diff_id
        layer = Layer(
            digest=digest,
            media_type=_LAYER_TYPES[kind],
            size=member.size,
            diff_id=diff_id,
            source=_source(member),
        )
        self._blobs.add(digest, media_type=layer.media_type, source=_source(member))
        return layer

    def _hash(self, member: Member) -> str:
        known = self._digests.get(member)
        if known is None:
            state = hashlib.sha256()
            for chunk in self._tar.chunks(member):
                state.update(chunk)
            known = self._digests[member] = f"sha256:{state.hexdigest()}"
        return known

    def _member(self, path: str) -> Member:
        member = self._tar.find(path)
        if member is None:
            raise InvalidArgument(f"file '{path[:256]}' is missing from the archive", details={"member": path[:256]})
        return member


def _source(member: Member) -> Source:
    return Source(offset=member.offset, length=member.size)
