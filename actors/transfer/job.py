"""What runs in the jobs of this worker: reading an archive, unpacking a layer. Each locks itself in first."""

from __future__ import annotations

import os
import stat

from actors.jobs import JobReport, serve
from actors.transfer.plan import ArchivePlan, ReadArchive
from linux.capabilities import Capability
from wharfie import failpoint
from wharfie.errors import error_class
from wharfie.types.base import Message, Mount


class UnpackJob(Message, frozen=True, kw_only=True):
    """Unpack a layer; descriptors: the file with its bytes, when it grows the counter of those that are there, the
    directory that becomes the layer.

    Attributes:
        is_growing: there is such a counter (`unpack/growth.py`).
        offset: where the layer begins in the file, and `length` its bytes.
        media_type: says how it is compressed, else its first bytes do.
        overlay: deletions are written as overlay's whiteouts.
        mounts: instead of a directory's descriptor: mounted for the job alone.
        place: an empty directory that the job covers with its own mounts.
        sync: write the directory out to the disk at the end.
    """

    offset: int
    length: int
    media_type: str
    overlay: bool
    max_bytes: int
    max_entries: int
    max_ratio: float
    mounts: list[Mount] = []
    place: str = ""
    sync: bool = False
    is_growing: bool = False


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
    archive, spool_file = fds
    # The descriptors that reading needs are open; no capability is needed. A directory's files have to be opened.
    sandbox.confine({Capability.DAC_READ_SEARCH} if stat.S_ISDIR(os.fstat(archive).st_mode) else ())
    return read_archive(request, archive=archive, spool_file=spool_file, progress=report.progress)


def _mounted(request: UnpackJob) -> int:
    """Make the mounts of the request, and open what they show."""
    from actors.transfer.diff.job import mount_at
    from actors.transfer.unpack import sandbox

    path = sandbox.tree(request.place)
    sandbox.cover(request.place)
    os.mkdir(path, 0o700)
    mount_at(request.mounts, path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _unpack(request: UnpackJob, fds: list[int], report: JobReport) -> UnpackedLayer:
    from actors.transfer.unpack import sandbox
    from actors.transfer.unpack.errors import UnpackError
    from actors.transfer.unpack.layer import unpack_layer
    from actors.transfer.unpack.limits import Limits
    from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
    from linux import namespaces

    failpoint.hit("transfer.job.unpack")
    is_mapped = namespaces.in_user_namespace()
    source, *given = fds
    growth_fd = given.pop(0) if request.is_growing else -1
    sandbox.isolate()
    target = sandbox.bound(given[0], request.place) if given else _mounted(request)
    asked = UnpackRequest(
        blob_path=f"/proc/self/fd/{source}",
        offset=request.offset,
        length=request.length,
        growth_fd=growth_fd,
        media_type=request.media_type,
        target=f"/proc/self/fd/{target}",
        whiteouts=Whiteouts.OVERLAY if request.overlay else Whiteouts.PLAIN,
        # Only the host's root may set trusted attributes, and make devices.
        userxattr=is_mapped,
        skip_devices=is_mapped,
        limits=Limits(
            total_bytes=request.max_bytes,
            file_bytes=request.max_bytes,
            entries=request.max_entries,
            ratio=int(request.max_ratio),
        ),
        sync=request.sync,
    )
    sandbox.seal(sandbox.needed_capabilities(asked), writable=[sandbox.tree(request.place)])
    try:
        result = unpack_layer(asked, progress=report.progress)
    except UnpackError as error:
        raise error_class(error.code)(error.message, details=error.details) from None
    return UnpackedLayer(diff_id=result.diff_id, size=result.size_bytes, implicit_dirs=result.implicit_dirs)
