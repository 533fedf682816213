"""One tar header: 512 bytes, in any of the dialects that layers come in (v7, ustar, PAX, GNU, star).

Pure. What is wrong with a header is a `HeaderError`; who knows where it stands adds that.
"""

from __future__ import annotations

import struct
import zlib

import msgspec

BLOCK_SIZE = 512

# Type flags, as the numbers of their bytes.
REGULAR = ord("0")
HARDLINK = ord("1")
SYMLINK = ord("2")
CHARACTER_DEVICE = ord("3")
BLOCK_DEVICE = ord("4")
DIRECTORY = ord("5")
FIFO = ord("6")
CONTIGUOUS = ord("7")
PAX = ord("x")
PAX_SOLARIS = ord("X")
PAX_GLOBAL = ord("g")
GNU_LONG_NAME = ord("L")
GNU_LONG_LINK = ord("K")
GNU_SPARSE = ord("S")
_OLD_REGULAR = 0

WITHOUT_DATA = frozenset({HARDLINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO})
"""Types whose size field says nothing about the stream."""

_HEADER = struct.Struct("100s8s8s8s12s12s8sB100s8s32s32s8s8s155s12x")
_MAGIC_POSIX = b"ustar\0"
_STAR_TRAILER = b"tar\0"
_STAR_PREFIX_SIZE = 131
_CHECKSUM = slice(148, 156)
_HALF = 256


class HeaderError(ValueError):
    """These bytes are no tar header; the text says which field."""


class Header(msgspec.Struct, gc=False):
    """The fields of one block; names as they stand, numbers decoded."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_s: int
    typeflag: int
    link: bytes
    device_major: int
    device_minor: int


def number(field: bytes) -> int:
    """Decode a numeric field: octal text, or GNU's base 256 when the first bit is set.

    Raises `HeaderError`.
    """
    if field[0] & 0x80:
        # The first bit is the mark, the second the sign.
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        return value - (1 << bits) if value >> (bits - 1) else value
    text = field.strip(b" \0")
    if not text:
        return 0
    if not text.isdigit():
        text = text.partition(b"\0")[0].rstrip(b" ")
    if text.isdigit():
        try:
            return int(text, 8)
        except ValueError:
            pass
    raise HeaderError(f"{field!r} is no number")


def has_valid_checksum(block: bytes) -> bool:
    """Say whether the checksum in the header is that of the block, whose bytes may have been added up signed."""
    field = block[_CHECKSUM]
    try:
        stored = number(field)
    except HeaderError:
        return False
    # Adler-32's low half is one plus the sum of the bytes, exact for 256 of them: ten times faster than sum().
    total = (zlib.adler32(block[:_HALF]) & 0xFFFF) + (zlib.adler32(block[_HALF:]) & 0xFFFF) - 2
    total += 8 * 0x20 - sum(field)
    if stored == total:
        return True
    high = sum(byte >= 0x80 for byte in block) - sum(byte >= 0x80 for byte in field)
    return stored == total - 256 * high


def parse(block: bytes) -> Header:
    """Decode one block, which is not the zero block. Raises `HeaderError`."""
    if not has_valid_checksum(block):
        raise HeaderError("the checksum is wrong")
    (name, mode, uid, gid, size, mtime, _, typeflag, link, magic, _, _, major, minor, prefix) = _HEADER.unpack(block)
    name = name.partition(b"\0")[0]
    # GNU's magic has a blank where POSIX has a zero; what POSIX uses for the prefix is something else there.
    if magic.startswith(_MAGIC_POSIX):
        if block.endswith(_STAR_TRAILER):
            prefix = prefix[:_STAR_PREFIX_SIZE]
        if prefix[0]:
            name = prefix.partition(b"\0")[0] + b"/" + name
    if typeflag == _OLD_REGULAR:
        typeflag = DIRECTORY if name.endswith(b"/") else REGULAR
    elif typeflag == CONTIGUOUS:
        typeflag = REGULAR
    is_device = typeflag in (CHARACTER_DEVICE, BLOCK_DEVICE)
    size_bytes = number(size)
    if size_bytes < 0:
        raise HeaderError("the size is negative")
    return Header(
        name=name,
        mode=number(mode),
        uid=number(uid),
        gid=number(gid),
        size=size_bytes,
        mtime_s=number(mtime),
        typeflag=typeflag,
        link=link.partition(b"\0")[0],
        device_major=number(major) if is_device else 0,
        device_minor=number(minor) if is_device else 0,
    )
