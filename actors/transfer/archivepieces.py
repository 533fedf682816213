"""An archive of images as a list of pieces: bytes of our own, and blobs. The same images make the same bytes.

Since all of it is known before the first byte is written, an archive can be written into a file by the kernel, sent at
any rate, and gone on with in its middle (see `archivereader.py`). Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from actors.transfer import naming
from actors.transfer.diff import tarheader
from actors.transfer.imagetree import Node
from actors.transfer.unpack import header
from actors.transfer.unpack.archive import Entry
from wharfie.errors import InvalidArgument
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.oci.descriptor import Descriptor, Platform
from wharfie.reference import Reference

_FILE_MODE = 0o444
_DIRECTORY_MODE = 0o755


class Piece(NamedTuple):
    """Bytes of the archive: `data`, or (with `digest`) those of a blob."""

    size: int
    data: bytes = b""
    digest: str = ""


class Named(NamedTuple):
    """An image to write: its name and what it stands for."""

    name: str
    tree: Node


def archive(images: Sequence[Named], *, wanted: Platform, with_docker: bool) -> list[Piece]:
    """The pieces of an OCI layout with these images. Pure.

    Args:
        images: in the order in which `index.json` lists them.
        wanted: of an image for several platforms the one that `manifest.json` gets.
        with_docker: write `manifest.json`, so that `docker load` reads it, too.
    """
    blobs = {one.digest: one for image in images for one in _blobs(image.tree)}
    documents: dict[str, bytes] = {
        "index.json": _encoded(
            {
                "schemaVersion": 2,
                "mediaType": oci.MEDIA_TYPE_INDEX,
                "manifests": [_entry(image) for image in images],
            }
        ),
        "oci-layout": _encoded({"imageLayoutVersion": "1.0.0"}),
    }
    if with_docker:
        documents["manifest.json"] = _encoded(_docker(images, wanted))
    directories = {"blobs", *(f"blobs/{digest.partition(':')[0]}" for digest in blobs)}
    files = {_path(digest): one for digest, one in blobs.items()}
    pieces: list[Piece] = []
    for name in sorted({*directories, *files, *documents}):
        if name in directories:
            pieces.append(_bytes(_header(name, directory=True)))
            continue
        blob = files.get(name)
        size = blob.size if blob is not None else len(documents[name])
        pieces.append(_bytes(_header(name, size=size)))
        pieces.append(Piece(size, digest=blob.digest) if blob is not None else _bytes(documents[name]))
        pieces.append(_bytes(tarheader.padding(size)))
    pieces.append(_bytes(tarheader.END))
    return _joined(pieces)


def name_of(pieces: Iterable[Piece]) -> str:
    """What tells an archive from others with other bytes."""
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece.digest.encode() or piece.data)
        state.update(b"%d\n" % piece.size)
    return state.hexdigest()[:32]


def _blobs(node: Node) -> list[Descriptor]:
    below = [blob for child in node.children for blob in _blobs(child)]
    return [node.descriptor, *node.blobs, *below]


def _entry(image: Named) -> dict[str, Any]:
    """An image as `index.json` lists it: what it stands for, and both annotations that name it."""
    descriptor = image.tree.descriptor
    annotations = {
        **(descriptor.annotations or {}),
        naming.IMAGE_NAME: image.name,
        naming.REF_NAME: _tag(image.name) or image.name,
    }
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "annotations": dict(sorted(annotations.items())),
    }


def _docker(images: Sequence[Named], wanted: Platform) -> list[dict[str, Any]]:
    """`manifest.json`: of each image the manifest for one platform, with all of its names."""
    listed: dict[str, dict[str, Any]] = {}
    for image in images:
        manifest = _one_platform(image.tree, wanted)
        if manifest is None:
            continue
        config, *layers = manifest.blobs
        entry = listed.setdefault(
            manifest.descriptor.digest,
            {"Config": _path(config.digest), "RepoTags": [], "Layers": [_path(layer.digest) for layer in layers]},
        )
        if _tag(image.name) and (name := familiar(image.name)) not in entry["RepoTags"]:
            entry["RepoTags"].append(name)
    return list(listed.values())


def _one_platform(tree: Node, wanted: Platform) -> Node | None:
    found = [node for node in tree.manifests() if node.is_image]
    if len(found) == 1:
        return found[0]
    ranked = [
        (grade, number)
        for number, node in enumerate(found)
        if node.platform is not None and (grade := platforms.rank(node.platform, wanted)) >= 0
    ]
    return found[min(ranked)[1]] if ranked else None


def familiar(name: str) -> str:
    """A name as Docker shows it: without the registry and the repository that it takes for granted. Pure."""
    try:
        return Reference.parse(name).familiar
    except InvalidArgument:
        # Names are any text; nobody can load this one, and everybody can read it.
        return name


def _tag(name: str) -> str:
    """The tag of a name; empty for one that has none, or a digest."""
    if "@" in name:
        return ""
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag if naming.is_tag(tag) else ""


def _path(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _encoded(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _header(name: str, *, size: int = 0, directory: bool = False) -> bytes:
    return tarheader.encode(
        Entry(
            name=name.encode(),
            kind=header.DIRECTORY if directory else header.REGULAR,
            mode=_DIRECTORY_MODE if directory else _FILE_MODE,
            uid=0,
            gid=0,
            size=size,
            mtime_ns=0,
        )
    )


def _bytes(data: bytes) -> Piece:
    return Piece(len(data), data)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same bytes in as few pieces as there can be."""
    joined: list[Piece] = []
    for piece in pieces:
        if piece.size and joined and piece.data and joined[-1].data:
            joined[-1] = _bytes(joined[-1].data + piece.data)
        elif piece.size:
            joined.append(piece)
    return joined
