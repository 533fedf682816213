"""What runs in the jobs of this worker: reading an archive, unpacking a layer. Each locks itself in first."""

from __future__ import annotations

from actors.jobs import JobReport, serve
from actors.transfer.plan import ArchivePlan, ReadArchive
from wharfie import failpoint
from wharfie.errors import error_class
from wharfie.types.base import Message


class UnpackJob(Message, frozen=True, kw_only=True):
    """Unpack a layer; descriptors: the file with its bytes, the directory that becomes the layer.

    Attributes:
        offset: where the layer begins in the file, and `length` its bytes.
        media_type: says how it is compressed, else its first bytes do.
        overlay: deletions are written as overlay's whiteouts.
    """

    offset: int
    length: int
    media_type: str
    overlay: bool
    max_bytes: int
    max_entries: int
    max_ratio: float


class UnpackedLayer(Message, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        diff_id: digest of the plain tar.
        size: bytes of the plain tar.
        implicit_dirs: directories, relative, that entries needed and no entry described.
    """

    diff_id: str
    size: int
    implicit_dirs: list[bytes] = []


def read(args: bytes, fds: list[int]) -> None:
    """Target of the job that reads an archive."""
    serve(args, fds, ReadArchive, _read)


def unpack(args: bytes, fds: list[int]) -> None:
    """Target of the job that unpacks a layer."""
    serve(args, fds, UnpackJob, _unpack)


def _read(request: ReadArchive, fds: list[int], report: JobReport) -> ArchivePlan:
    from actors.transfer.archive import read_archive
    from actors.transfer.unpack import sandbox

    failpoint.hit("transfer.job.read")
    # The descriptors that reading needs are open; no capability is needed.
    sandbox.confine()
    archive, spool_file = fds
    return read_archive(request, archive=archive, spool_file=spool_file, progress=report.progress)


def _unpack(request: UnpackJob, fds: list[int], report: JobReport) -> UnpackedLayer:
    from actors.transfer.unpack import sandbox
    from actors.transfer.unpack.errors import UnpackError
    from actors.transfer.unpack.layer import unpack_layer
    from actors.transfer.unpack.limits import Limits
    from actors.transfer.unpack.messages import UnpackRequest, Whiteouts

    source, target = fds
    asked = UnpackRequest(
        blob_path=f"/proc/self/fd/{source}",
        offset=request.offset,
        length=request.length,
        media_type=request.media_type,
        target=f"/proc/self/fd/{target}",
        whiteouts=Whiteouts.OVERLAY if request.overlay else Whiteouts.PLAIN,
        limits=Limits(
            total_bytes=request.max_bytes,
            file_bytes=request.max_bytes,
            entries=request.max_entries,
            ratio=int(request.max_ratio),
        ),
    )
    failpoint.hit("transfer.job.unpack")
    sandbox.enter(asked)
    try:
        result = unpack_layer(asked, progress=report.progress)
    except UnpackError as error:
        raise error_class(error.code)(error.message, details=error.details) from None
    return UnpackedLayer(diff_id=result.diff_id, size=result.size_bytes, implicit_dirs=result.implicit_dirs)
