"""What runs in the job that makes an image of a layer: it reads the archive behind the same walls as the extractor."""

from __future__ import annotations

import hashlib
import os

from actors.jobs import JobReport, serve
from actors.snapshot.erofs.mounts import IMAGE, UNFINISHED
from actors.transfer.job import UnpackedLayer, UnpackJob
from wharfie import failpoint
from wharfie.errors import error_class

UUID_BYTES = 16


def apply(args: bytes, fds: list[int]) -> None:
    """Target of the job; descriptors as for `actors.transfer.job:unpack`, the directory being the snapshot's upper one.

    The image takes the place of that directory, whole or not at all.
    """
    serve(args, fds, UnpackJob, _apply)


def _apply(request: UnpackJob, fds: list[int], report: JobReport) -> UnpackedLayer:
    from actors.snapshot.erofs.layer import LayerImage
    from actors.transfer.unpack import sandbox
    from actors.transfer.unpack.errors import UnpackError, from_os_error
    from actors.transfer.unpack.growth import Growth
    from actors.transfer.unpack.layer import apply_entries
    from actors.transfer.unpack.layerstream import LayerStream
    from actors.transfer.unpack.limits import Limits
    from actors.transfer.unpack.xattrs import opaque_name

    failpoint.hit("transfer.job.unpack")
    source, *growth, upper = fds
    place = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=upper)
    image = os.open(UNFINISHED, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=place)
    bounds = Limits(
        total_bytes=request.max_bytes,
        file_bytes=request.max_bytes,
        entries=request.max_entries,
        ratio=int(request.max_ratio),
    )
    sandbox.confine()
    try:
        with LayerStream(
            source,
            media_type=request.media_type,
            bounds=bounds,
            offset=request.offset,
            length=request.length,
            growth=Growth(growth[0]) if request.is_growing else None,
        ) as layer:
            made = LayerImage(image, opaque_xattr=opaque_name(userxattr=False), bounds=bounds)
            apply_entries(layer, made, report.progress)
            diff_id, size = layer.diff_id, layer.size_bytes
            implicit = made.finish(uuid=uuid_of(diff_id))
        # In this order: a commit that finds the directory takes what was written there.
        os.rmdir("work", dir_fd=place)
        os.rmdir("fs", dir_fd=place)
        os.rename(UNFINISHED, IMAGE, src_dir_fd=place, dst_dir_fd=place)
    except UnpackError as error:
        raise error_class(error.code)(error.message, details=error.details) from None
    except OSError as error:
        told = from_os_error(error)
        raise error_class(told.code)(told.message, details=told.details) from None
    return UnpackedLayer(diff_id=diff_id, size=size, implicit_dirs=implicit)


def uuid_of(identity: str) -> bytes:
    """An image's UUID (RFC 9562, version 8): the same layer has the same one, on every machine."""
    raw = bytearray(hashlib.sha256(f"wharfie erofs {identity}".encode()).digest()[:UUID_BYTES])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)
