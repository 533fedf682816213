"""A tar stream as a sequence of entries: headers put together, nothing of a file system in it.

Pure but for reading the stream. Accepted beyond the standards, because layers come that way: a missing end of archive,
a missing last padding. Not accepted: an unknown type, a header with a wrong checksum, a file without all of its data.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from actors.transfer.unpack import acl, header, pax, sparse
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import UnpackError, shown
from actors.transfer.unpack.header import BLOCK_SIZE, Header, HeaderError
from actors.transfer.unpack.sparse import Segment
from wharfie.errors import Code

MAX_META_BYTES = 1 << 20
"""The largest PAX or long-name header, as in Go's archive/tar."""

_MAX_META_HEADERS = 64
_ZERO_BLOCK = bytes(BLOCK_SIZE)
_META = frozenset(
    {
        header.PAX,
        header.PAX_SOLARIS,
        header.PAX_GLOBAL,
        header.GNU_LONG_NAME,
        header.GNU_LONG_LINK,
    }
)
_ENTRIES = frozenset({*header.WITHOUT_DATA, header.REGULAR, header.GNU_SPARSE})


class Entry(msgspec.Struct):
    """One entry. `kind` is a type flag of `header`; names are as the archive has them."""

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes of data in the stream, to be read before the next entry is asked for."""
    mtime_ns: int
    link: bytes = b""
    device_major: int = 0
    device_minor: int = 0
    atime_ns: int | None = None
    xattrs: dict[bytes, bytes] | None = None
    segments: list[Segment] | None = None
    """Where the data belongs in a sparse file; None when it is the whole file."""
    real_size: int = 0
    """Size of the file, holes included."""


class _Extensions:
    """What PAX and GNU headers said about the entry that follows them."""

    __slots__ = ("long_link", "long_name", "records")

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.long_name: bytes | None = None
        self.long_link: bytes | None = None

    def add(self, kind: int, data: bytes) -> None:
        if kind == header.GNU_LONG_NAME:
            self.long_name = data.partition(b"\0")[0]
        elif kind == header.GNU_LONG_LINK:
            self.long_link = data.partition(b"\0")[0]
        elif kind != header.PAX_GLOBAL:
            # A global header is checked for its form (above, by its size) and otherwise ignored, as containerd does.
            self.records.extend(pax.parse(data))


def truncated(name: bytes) -> UnpackError:
    """Return the error for a stream that ends inside of this entry."""
    return UnpackError(Code.DATA_LOSS, f"layer archive ends inside of entry '{shown(name)}'", {"entry": shown(name)})


def _malformed(offset: int, reason: str) -> UnpackError:
    return UnpackError(
        Code.INVALID_ARGUMENT, f"layer archive is malformed at byte {offset}: {reason}", {"offset": offset}
    )


def entries(stream: ByteStream) -> Iterator[Entry]:
    """Yield the entries of the archive; whoever iterates may read `entry.size` bytes of data from `stream` in between.

    What is left of an entry's data is skipped. The stream is left behind the end of the archive, not at its own end.
    Raises `UnpackError`: `invalid_argument` for what is malformed, `data_loss` for what is cut off.
    """
    while True:
        offset = stream.offset
        try:
            entry = _next_entry(stream)
        except HeaderError as error:
            raise _malformed(offset, str(error)) from None
        if entry is None:
            return
        end = stream.offset + entry.size
        yield entry
        left = end - stream.offset
        if left and stream.skip(left) != left:
            raise truncated(entry.name)
        # The last padding may be missing; then the next header is missing too.
        stream.skip(-end % BLOCK_SIZE)


def _next_header(stream: ByteStream) -> tuple[bytes, Header] | None:
    """Return the next block and what it says; None at the end of the archive."""
    block = stream.take(BLOCK_SIZE)
    if not block:
        return None
    if len(block) < BLOCK_SIZE:
        raise UnpackError(Code.DATA_LOSS, "layer archive ends inside of a header", {"offset": stream.offset})
    if block[0] == 0 and block == _ZERO_BLOCK:
        second = stream.take(BLOCK_SIZE)
        # One zero block and the end of the stream are accepted as an end too.
        if second != _ZERO_BLOCK[: len(second)]:
            raise HeaderError("a single zero block stands in the archive")
        return None
    return block, header.parse(block)


def _next_entry(stream: ByteStream) -> Entry | None:
    extensions: _Extensions | None = None
    for _ in range(_MAX_META_HEADERS):
        offset = stream.offset
        found = _next_header(stream)
        if found is None:
            if extensions is None:
                return None
            if stream.offset > offset:
                raise HeaderError("an extended header is followed by no entry")
            raise UnpackError(Code.DATA_LOSS, "layer archive ends behind an extended header", {"offset": offset})
        block, head = found
        if head.typeflag in _ENTRIES:
            return _entry(block, head, extensions, stream)
        if head.typeflag not in _META:
            raise HeaderError(f"type {chr(head.typeflag)!r} of entry '{shown(head.name)}' is not known")
        extensions = extensions or _Extensions()
        extensions.add(head.typeflag, _meta_data(stream, head))
        if head.typeflag == header.PAX_GLOBAL and not extensions.records:
            # Belongs to no entry, so none has to follow.
            extensions = extensions if extensions.long_name or extensions.long_link else None
    raise HeaderError(f"more than {_MAX_META_HEADERS} extended headers stand before one entry")


def _meta_data(stream: ByteStream, head: Header) -> bytes:
    if head.size > MAX_META_BYTES:
        raise HeaderError(f"an extended header has {head.size} bytes, at most {MAX_META_BYTES} are accepted")
    data = stream.take(head.size)
    if len(data) < head.size:
        raise truncated(head.name)
    stream.skip(-head.size % BLOCK_SIZE)
    return data


def _entry(block: bytes, head: Header, extensions: _Extensions | None, stream: ByteStream) -> Entry:
    kind = head.typeflag
    entry = Entry(
        name=head.name,
        kind=kind,
        mode=head.mode & 0o7777,
        uid=head.uid,
        gid=head.gid,
        size=head.size,
        mtime_ns=head.mtime_s * 1_000_000_000,
        link=head.link,
        device_major=head.device_major,
        device_minor=head.device_minor,
    )
    sparse_records: list[tuple[bytes, bytes]] = []
    if extensions is not None:
        sparse_records = _apply(entry, extensions)
    if b"\0" in entry.name or b"\0" in entry.link:
        raise HeaderError("a name contains a zero byte")
    if kind in header.WITHOUT_DATA:
        entry.size = 0
        return entry
    entry.real_size = entry.size
    if kind == header.GNU_SPARSE:
        entry.kind = header.REGULAR
        entry.segments, entry.real_size = sparse.read_old_gnu(block, stream)
    elif sparse_records:
        _apply_sparse(entry, sparse_records, stream)
    if entry.segments is not None:
        sparse.check(entry.segments, data_bytes=entry.size, real_size=entry.real_size)
    return entry


def _apply(entry: Entry, extensions: _Extensions) -> list[tuple[bytes, bytes]]:
    """Overwrite what the extensions say more exactly; return the records about holes."""
    sparse_records = []
    xattrs: dict[bytes, bytes] = {}
    lists: dict[bytes, bytes] = {}
    for key, value in extensions.records:
        if key.startswith(pax.XATTR_PREFIX):
            xattrs[key[len(pax.XATTR_PREFIX) :]] = value
        elif key in acl.RECORDS:
            if (encoded := acl.encode(value)) is not None:
                lists[acl.RECORDS[key]] = encoded
        elif key.startswith(pax.SPARSE_PREFIX):
            sparse_records.append((key[len(pax.SPARSE_PREFIX) :], value))
        elif not value:
            # An empty value takes back a record of a global header, and those are ignored.
            continue
        elif key == b"path":
            entry.name = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"size":
            entry.size = pax.decimal(value)
        elif key == b"uid":
            entry.uid = pax.decimal(value)
        elif key == b"gid":
            entry.gid = pax.decimal(value)
        elif key == b"mtime":
            entry.mtime_ns = pax.time_ns(value)
        elif key == b"atime":
            entry.atime_ns = pax.time_ns(value)
    if xattrs or lists:
        # Where a list stands as an attribute too, that is the more exact one.
        entry.xattrs = {**lists, **xattrs}
    if extensions.long_name is not None:
        entry.name = extensions.long_name
    if extensions.long_link is not None:
        entry.link = extensions.long_link
    return sparse_records


def _apply_sparse(entry: Entry, records: list[tuple[bytes, bytes]], stream: ByteStream) -> None:
    values = dict(records)
    if b"name" in values:
        entry.name = values[b"name"]
        if b"\0" in entry.name:
            raise HeaderError("a name contains a zero byte")
    if values.get(b"major") == b"1" and values.get(b"minor") == b"0":
        entry.segments, taken = sparse.read_version_1(stream, entry.size)
        entry.size -= taken
    else:
        entry.segments = sparse.from_records(records)
    if entry.segments is not None:
        size = values.get(b"realsize", values.get(b"size"))
        if size is None:
            raise HeaderError("a sparse file has no size")
        entry.real_size = pax.decimal(size)
