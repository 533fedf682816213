"""Unpacking one layer, from the blob to the tree."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Protocol

from actors.transfer.unpack import archive
from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import from_os_error
from actors.transfer.unpack.extract import Extractor
from actors.transfer.unpack.growth import Growth
from actors.transfer.unpack.layerstream import LayerStream
from actors.transfer.unpack.messages import UnpackRequest, UnpackResult
from linux.files import syncfs

Progress = Callable[[int], None]
"""Is told how many bytes of the blob have been read, a few times a megabyte."""


class Applier(Protocol):
    """Makes something of a layer's entries: a tree of files, an image."""

    def apply(self, entry: Entry, stream: ByteStream) -> None:
        """Apply one entry, reading its data from `stream`. Raises `UnpackError` and `OSError`."""


def unpack_layer(request: UnpackRequest, *, progress: Progress | None = None) -> UnpackResult:
    """Unpack a layer into `request.target` and say what it was.

    Not atomic: after an error the target holds a part of the layer and the caller removes it; outside of the target
    nothing is ever made or changed. Sets the umask of the process meanwhile, so run it where nobody else makes files:
    in a process of its own.
    Raises `UnpackError`.
    """
    try:
        with (
            _opened(request.blob_path, os.O_RDONLY) as blob_fd,
            _opened(request.target, os.O_RDONLY | os.O_DIRECTORY) as root_fd,
            LayerStream(
                blob_fd,
                media_type=request.media_type,
                bounds=request.limits,
                offset=request.offset,
                length=request.length,
                growth=Growth(request.growth_fd) if request.growth_fd >= 0 else None,
            ) as layer,
            _no_umask(),
        ):
            extractor = Extractor(
                root_fd,
                mode=request.whiteouts,
                userxattr=request.userxattr,
                bounds=request.limits,
                skip_devices=request.skip_devices,
            )
            with contextlib.closing(extractor):
                apply_entries(layer, extractor, progress)
                implicit = extractor.finish()
            if request.sync:
                syncfs(root_fd)
            return UnpackResult(
                diff_id=layer.diff_id,
                size_bytes=layer.size_bytes,
                entries=extractor.entries,
                implicit_dirs=implicit,
                skipped_xattrs=extractor.skipped_xattrs,
            )
    except OSError as error:
        raise from_os_error(error) from error


def apply_entries(layer: LayerStream, applier: Applier, progress: Progress | None) -> None:
    """Read the layer to its end and have its entries applied. Raises `UnpackError`."""

    def next_chunk() -> bytes:
        if progress is not None:
            progress(layer.consumed_bytes)
        return layer.next_chunk()

    stream = ByteStream(next_chunk if progress is not None else layer.next_chunk)
    for entry in archive.entries(stream):
        try:
            applier.apply(entry, stream)
        except OSError as error:
            raise from_os_error(error, entry.name) from error
    # What follows the end of the archive belongs to the digest too.
    stream.drain()


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _no_umask() -> Iterator[None]:
    """Let modes be what the archive says."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
