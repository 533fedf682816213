"""One entry of a tar archive as bytes: plain ustar where that is enough, a PAX header in front of it where it is not.

Pure, and the same bytes for the same entry. Source: POSIX.1-2001, pax interchange format; attributes as star, GNU tar
and Go write them (`SCHILY.xattr.`).
"""

from __future__ import annotations

import struct

from actors.transfer.unpack import header, pax
from actors.transfer.unpack.archive import MAX_META_BYTES, Entry
from actors.transfer.unpack.header import BLOCK_SIZE

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_MAGIC = b"ustar\x0000"
_NAME_BYTES = 100
_MAX_7 = 8**7 - 1
_MAX_11 = 8**11 - 1
_NANOSECONDS = 1_000_000_000


class Unrepresentable(ValueError):
    """No archive can say this; the text says what, in the middle of a sentence."""


def encode(entry: Entry) -> bytes:
    """Return the header of an entry, to be followed by `entry.size` bytes of data and zeros up to a whole block.

    Raises `Unrepresentable`.
    """
    name = entry.name + b"/" if entry.kind == header.DIRECTORY else entry.name
    seconds, nanoseconds = divmod(entry.mtime_ns, _NANOSECONDS)
    records: dict[bytes, bytes] = {}
    if not _is_plain(name):
        records[b"path"] = name
    if not _is_plain(entry.link):
        records[b"linkpath"] = entry.link
    if entry.uid > _MAX_7:
        records[b"uid"] = b"%d" % entry.uid
    if entry.gid > _MAX_7:
        records[b"gid"] = b"%d" % entry.gid
    if entry.size > _MAX_11:
        records[b"size"] = b"%d" % entry.size
    if nanoseconds or not 0 <= seconds <= _MAX_11:
        records[b"mtime"] = _time(entry.mtime_ns)
    for key, value in (entry.xattrs or {}).items():
        records[pax.XATTR_PREFIX + key] = value
    return _extended(records, name) + _block(
        name=_short(name),
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid if entry.uid <= _MAX_7 else 0,
        gid=entry.gid if entry.gid <= _MAX_7 else 0,
        size=entry.size if entry.size <= _MAX_11 else 0,
        mtime_s=seconds if 0 <= seconds <= _MAX_11 else 0,
        link=_short(entry.link),
        device=(entry.device_major, entry.device_minor),
    )


def padding(size: int) -> bytes:
    """Return the zeros that follow so many bytes of data."""
    return bytes(-size % BLOCK_SIZE)


END = bytes(2 * BLOCK_SIZE)
"""The end of an archive."""


def _is_plain(text: bytes) -> bool:
    return len(text) <= _NAME_BYTES and text.isascii()


def _short(text: bytes) -> bytes:
    """What old readers see of a name that does not fit: its end, with question marks."""
    return bytes(byte if byte < 0x80 else 0x3F for byte in text[-_NAME_BYTES:])


def _time(time_ns: int) -> bytes:
    """Seconds with as many decimals as are needed."""
    sign = b"-" if time_ns < 0 else b""
    seconds, nanoseconds = divmod(abs(time_ns), _NANOSECONDS)
    return sign + (b"%d.%09d" % (seconds, nanoseconds)).rstrip(b"0").rstrip(b".")


def _extended(records: dict[bytes, bytes], name: bytes) -> bytes:
    if not records:
        return b""
    ordered = sorted(records.items())
    if not all(_is_text(value) for key, value in ordered if key in (b"path", b"linkpath")):
        # Says that names are bytes, and has to be said before the first of them.
        ordered.insert(0, (b"hdrcharset", b"BINARY"))
    data = b"".join(_record(key, value) for key, value in ordered)
    if len(data) > MAX_META_BYTES:
        raise Unrepresentable(f"its name and attributes take {len(data)} bytes, more than {MAX_META_BYTES}")
    base = b"PaxHeaders/" + name.rstrip(b"/").rpartition(b"/")[2]
    head = _block(
        name=bytes(byte if byte < 0x80 else 0x3F for byte in base[:_NAME_BYTES]),
        kind=header.PAX,
        mode=0o644,
        size=len(data),
    )
    return head + data + padding(len(data))


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value`, where the length counts its own digits."""
    if b"=" in key:
        raise Unrepresentable("the name of one of its attributes has a '='")
    body = b" " + key + b"=" + value + b"\n"
    size = len(body)
    while size != len(body) + len(b"%d" % size):
        size = len(body) + len(b"%d" % size)
    return b"%d" % size + body


def _block(
    *,
    name: bytes,
    kind: int,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime_s: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    block = _HEADER.pack(
        name,
        b"%07o" % mode,
        b"%07o" % uid,
        b"%07o" % gid,
        b"%011o" % size,
        b"%011o" % mtime_s,
        b" " * 8,
        bytes((kind,)),
        link,
        _MAGIC,
        b"",
        b"",
        b"%07o" % device[0],
        b"%07o" % device[1],
        b"",
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
