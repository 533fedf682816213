"""The job that compresses a layer anew: what comes out is the same tar in another blob."""

from __future__ import annotations

from actors.jobs import JobReport, serve
from actors.transfer.diff.sink import Compression
from wharfie import failpoint
from wharfie.errors import error_class
from wharfie.types.base import Message


class Recompress(Message, frozen=True, kw_only=True):
    """Compress a layer anew; descriptors: the file with its blob, an empty file for the new one.

    Attributes:
        length: bytes of the blob.
        media_type: says how it is compressed now, else its first bytes do.
        compression: of the new one.
        max_bytes: what its tar may weigh, and `max_ratio` how much more than the blob.
    """

    length: int
    media_type: str
    compression: Compression
    max_bytes: int
    max_ratio: float


class Recompressed(Message, frozen=True, kw_only=True):
    """What came out: the new blob, and the digest of the tar in both."""

    digest: str
    size: int
    diff_id: str


def recompress(args: bytes, fds: list[int]) -> None:
    """Target of the job."""
    serve(args, fds, Recompress, _recompress)


def _recompress(request: Recompress, fds: list[int], report: JobReport) -> Recompressed:
    # Loaded before the walls stand around us.
    import zstandard  # noqa: F401
    from isal import isal_zlib  # noqa: F401

    from actors.transfer.diff.sink import Sink
    from actors.transfer.unpack import compression, limits, sandbox
    from actors.transfer.unpack.errors import UnpackError

    failpoint.hit("transfer.job.recompress")
    sandbox.confine()
    source, target = fds
    blob = compression.Blob(source, length=request.length)
    done = 0
    try:
        with Sink(target, request.compression) as sink:
            for chunk in compression.chunks(blob, compression.detect(request.media_type, blob.head())):
                done += len(chunk)
                if done > request.max_bytes:
                    raise limits.exceeded("total_bytes", request.max_bytes)
                if done > limits.Limits().ratio_floor_bytes and done > request.max_ratio * blob.consumed:
                    raise limits.exceeded("ratio", int(request.max_ratio), unit="to 1")
                sink.write(chunk)
                report.progress(blob.consumed)
            written = sink.finish()
    except UnpackError as error:
        raise error_class(error.code)(error.message, details=error.details) from None
    return Recompressed(digest=written.digest, size=written.size, diff_id=written.diff_id)
