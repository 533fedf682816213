"""Making an archive seekable and plain: a pipe or a compressed file is copied into a spool file first.

Runs in a job. The spool file has no name, so nothing of it outlives the import, however that ends.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from wharfie.errors import InvalidArgument, ResourceExhausted, Unimplemented

_CHUNK_BYTES = 1024 * 1024
_MAGIC_BYTES = 6

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
_REFUSED = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}


def compression(magic: bytes) -> str:
    """`gzip`, `zstd` or empty, by a file's first bytes.

    Raises:
        Unimplemented: compressed by something else.
    """
    for prefix, name in _REFUSED.items():
        if magic.startswith(prefix):
            raise Unimplemented(f"archive is compressed by {name}; use gzip, zstd or none", details={"field": "path"})
    if magic.startswith(GZIP):
        return "gzip"
    return "zstd" if magic.startswith(ZSTD) else ""


def spool(
    source: int, target: int, *, seekable: bool, max_bytes: int, progress: Callable[[int], None] | None = None
) -> bool:
    """Copy the archive into `target` unless it can be read where it is. Returns whether it was copied.

    Raises:
        InvalidArgument: nothing came, or the compressed data are broken.
        ResourceExhausted: more than `max_bytes` came.
        Unimplemented: an unknown compression.
    """
    chunks = _chunks(source)
    head = os.pread(source, _MAGIC_BYTES, 0) if seekable else _head(chunks)
    kind = compression(head)
    if seekable and not kind:
        return False
    plain = chunks if seekable else _with_head(head, chunks)
    if kind:
        plain = _decompressed(plain, kind)
    done = 0
    for data in plain:
        done += len(data)
        if done > max_bytes:
            raise ResourceExhausted(
                f"archive is larger than {max_bytes} bytes when unpacked; raise 'transfer.max_unpacked_bytes'",
                details={"limit": "max_unpacked_bytes"},
            )
        _write(target, data)
        if progress is not None:
            progress(done)
    if not done:
        raise InvalidArgument("archive is empty", details={"field": "path"})
    return True


def is_seekable(mode: int) -> bool:
    """Whether a file of this mode can be read twice."""
    return stat.S_ISREG(mode)


def _chunks(source: int) -> Iterator[bytes]:
    while data := os.read(source, _CHUNK_BYTES):
        yield data


def _head(chunks: Iterator[bytes]) -> bytes:
    """Enough bytes to tell the compression, and maybe more: a pipe gives what it has."""
    head = b""
    while len(head) < _MAGIC_BYTES and (data := next(chunks, b"")):
        head += data
    return head


def _with_head(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


def _decompressed(chunks: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """The plain bytes, in pieces of bounded size however well they were compressed."""
    return _gunzipped(chunks) if kind == "gzip" else _unzstd(chunks)


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """One or several gzip members one after another; zeros behind them are padding."""
    from isal import isal_zlib

    failure = cast("type[Exception]", isal_zlib.error)
    current: Any = None
    for chunk in chunks:
        rest = chunk
        while rest:
            if current is None:
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                current = isal_zlib.decompressobj(wbits=31)
            try:
                yield current.decompress(rest, _CHUNK_BYTES)
            except failure as error:
                raise _broken("gzip", error) from None
            rest = current.unconsumed_tail
            if current.eof:
                rest, current = current.unused_data, None
    while current is not None and not current.eof:
        # The output limit may have kept something back.
        if not (data := current.decompress(b"", _CHUNK_BYTES)):
            raise _broken("gzip", "they are cut short")
        yield data


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(cast("IO[bytes]", _Reader(chunks)), read_across_frames=True)
    try:
        while data := reader.read(_CHUNK_BYTES):
            yield data
    except zstandard.ZstdError as error:
        raise _broken("zstd", error) from None


class _Reader:
    """Chunks as what has `read`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end."""
        data = self._rest or next(self._chunks, b"")
        self._rest = data[size:]
        return data[:size]


def _broken(kind: str, why: object) -> InvalidArgument:
    return InvalidArgument(f"archive's {kind} data are broken: {why}", details={"field": "path"})


def _write(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
