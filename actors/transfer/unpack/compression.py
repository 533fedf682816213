"""What a blob is compressed with, and the bytes that it becomes.

The first bytes decide, as in containerd: registries hold layers whose media type says gzip and that are plain. The
media type is asked for what the bytes cannot say: that nothing is compressed, or that it is encrypted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from actors.transfer.unpack import zstdframes
from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.growth import Growth
from wharfie.errors import Code

INPUT_BYTES = 256 * 1024
CHUNK_BYTES = 256 * 1024
"""About the most that is uncompressed at once. Measured: with 1 MiB the allocator costs a third of the inflating."""
MAX_ZSTD_WINDOW_BYTES = 128 * 1024 * 1024

_HEAD_BYTES = 8
_GZIP_MAGIC = b"\x1f\x8b\x08"
_GZIP_WITH_HEADER = 31
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "lz4"}
_PLAIN_SUFFIXES = (".tar", ".v1.tar", "/x-tar")


class Compression(StrEnum):
    """What a layer's tar stream is wrapped in."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"


def detect(media_type: str, head: bytes) -> Compression:
    """Say how a blob with these first bytes (eight are enough) is compressed. Pure.

    Raises `UnpackError` `unimplemented` for what is known and cannot be read.
    """
    if media_type.endswith("+encrypted"):
        raise UnpackError(
            Code.UNIMPLEMENTED, f"layers of media type '{media_type}' are encrypted", {"media_type": media_type}
        )
    if media_type.endswith(_PLAIN_SUFFIXES):
        return Compression.PLAIN
    if head.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    if head.startswith(zstdframes.MAGIC) or (len(head) >= 4 and zstdframes.is_skippable(head[:4])):
        return Compression.ZSTD
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise UnpackError(
                Code.UNIMPLEMENTED, f"layers compressed with {name} cannot be read", {"compression": name}
            )
    return Compression.PLAIN


class Blob:
    """A blob being read from its start, by one thread: `length` bytes at `offset` of a file. Does not own the file.

    With `growth` the file may have fewer bytes than that so far; what is not there yet is waited for.
    """

    def __init__(self, fd: int, *, offset: int = 0, length: int | None = None, growth: Growth | None = None) -> None:
        self._fd = fd
        self._offset = offset
        self._length = sys.maxsize if length is None else length
        self._growth = growth
        self.consumed = 0
        """Bytes read so far."""

    def head(self) -> bytes:
        """Return the first bytes, which will be read again."""
        size = min(_HEAD_BYTES, self._length)
        if self._growth is not None:
            self._growth.at_least(size)
        return os.pread(self._fd, size, self._offset)

    def read(self, size: int = INPUT_BYTES) -> bytes:
        """Return the next bytes, none at the end."""
        left = self._length - self.consumed
        if self._growth is not None and left:
            left = min(left, self._growth.at_least(self.consumed + 1) - self.consumed)
        data = os.pread(self._fd, min(size, left), self._offset + self.consumed)
        self.consumed += len(data)
        return data


def corrupt(reason: str) -> UnpackError:
    """Return the error for a blob that cannot be uncompressed."""
    return UnpackError(Code.DATA_LOSS, f"layer blob is corrupt: {reason}", {"reason": reason})


def chunks(blob: Blob, compression: Compression) -> Iterator[bytes]:
    """Yield the uncompressed stream in chunks that are not empty and at most `CHUNK_BYTES` or a few blocks long.

    Raises `UnpackError` `data_loss` when the blob is cut off, does not match its checksums or goes on after its end.
    """
    match compression:
        case Compression.PLAIN:
            return _plain(blob)
        case Compression.GZIP:
            return _gzip(blob)
        case Compression.ZSTD:
            return _zstd(blob)


def _plain(blob: Blob) -> Iterator[bytes]:
    while data := blob.read(CHUNK_BYTES):
        yield data


def _gzip(blob: Blob) -> Iterator[bytes]:
    from isal import isal_zlib

    data = blob.read()
    while True:
        member = isal_zlib.decompressobj(wbits=_GZIP_WITH_HEADER)
        try:
            while not member.eof:
                out = member.decompress(data, CHUNK_BYTES)
                if out:
                    yield out
                if member.eof:
                    break
                data = member.unconsumed_tail or blob.read()
                if not data and not out:
                    raise corrupt("the gzip stream is cut off")
        except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stubs call it an instance
            raise corrupt(f"gzip: {str(error).lower()}") from None
        data = member.unused_data or blob.read()
        # Some writers pad with zeros; anything else has to be one more member.
        while data and not data.strip(b"\0"):
            data = blob.read()
        if not data:
            return
        if len(data) < len(_GZIP_MAGIC):
            data += blob.read()
        if not data.startswith(_GZIP_MAGIC):
            raise corrupt("something that is not gzip follows the gzip stream")


def _zstd(blob: Blob) -> Iterator[bytes]:
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    frame: Any = None
    try:
        for data, is_last in zstdframes.pieces(blob.read, blocks=CHUNK_BYTES // zstdframes.BLOCK_MAX_BYTES):
            frame = frame or context.decompressobj()
            out = frame.decompress(data)
            if out:
                yield out
            if is_last:
                if not frame.eof:
                    raise corrupt("zstd: a frame does not end where its blocks do")
                frame = None
    except (zstdframes.FrameError, zstandard.ZstdError) as error:
        raise corrupt(f"zstd: {error}") from None
