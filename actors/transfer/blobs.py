"""Collecting the blobs of a plan, each once and with its labels. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from actors.transfer.plan import Blob, Source
from wharfie.errors import InvalidArgument
from wharfie.types.base import Labels

GC_CONFIG = "containerd.io/gc.ref.content.config"
GC_LAYER = "containerd.io/gc.ref.content.l."
GC_MANIFEST = "containerd.io/gc.ref.content.m."
UNCOMPRESSED = "containerd.io/uncompressed"
GC_SNAPSHOT = "containerd.io/gc.ref.snapshot."

MAX_BLOBS = 20_000
"""What the images of one archive may refer to."""


class Blobs:
    """Blobs in the order in which they were added; what refers to others comes behind them."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}

    def __contains__(self, digest: object) -> bool:
        return digest in self._blobs

    def add(self, digest: str, *, media_type: str, source: Source, labels: Labels | None = None) -> None:
        """Add a blob; one that is there already only gets more labels.

        Raises:
            InvalidArgument: there are too many.
        """
        known = self._blobs.get(digest)
        if known is not None:
            labels = {**known.labels, **(labels or {})}
            source, media_type = known.source, known.media_type
        elif len(self._blobs) >= MAX_BLOBS:
            raise InvalidArgument(f"archive refers to more than {MAX_BLOBS} blobs")
        self._blobs[digest] = Blob(digest=digest, media_type=media_type, source=source, labels=labels or {})

    def all(self) -> list[Blob]:
        """Every blob."""
        return list(self._blobs.values())


def sha256(data: bytes) -> str:
    """The digest of a document."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_of(data: bytes, *, like: str) -> str:
    """The digest of a document by the algorithm of another digest, which must have been checked."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def manifest_labels(config: str, layers: list[str]) -> Labels:
    """Labels that keep what a manifest refers to."""
    return {GC_CONFIG: config, **{f"{GC_LAYER}{number}": digest for number, digest in enumerate(layers)}}


def index_labels(manifests: Sequence[str], taken: Iterable[str]) -> Labels:
    """Labels that keep what an index refers to, as far as it was taken.

    A label's number is the place in the index: what another import of it takes is kept besides.
    """
    known = frozenset(taken)
    return {f"{GC_MANIFEST}{number}": digest for number, digest in enumerate(manifests) if digest in known}
