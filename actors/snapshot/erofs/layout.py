"""What an erofs image consists of, packed: super block and inodes. Pure. Source: the kernel's fs/erofs/erofs_fs.h.

Everything is little-endian. Inodes are counted in slots of 32 bytes from the image's beginning (`meta_blkaddr` is 0),
so the number of an inode (nid) tells where it is.
"""

from __future__ import annotations

import stat
import struct
from enum import IntEnum
from typing import Any, NamedTuple

BLOCK_BYTES = 4096
BLOCK_BITS = 12
SLOT_BYTES = 32
MAX_BLOCKS = (1 << 32) - 1
"""Block numbers have 32 bits, and the last one means none."""

INODE_BYTES = 64
"""An extended inode: 32-bit owners, 64-bit sizes, a time of its own to the nanosecond."""

SUPER_OFFSET = 1024
SUPER_BYTES = 128
ROOT_NID = (SUPER_OFFSET + SUPER_BYTES) // SLOT_BYTES
"""Directly behind the super block, because there it has 16 bits only."""

MAX_XATTR_UNITS = 0xFFFF
NAME_MAX = 255

_MAGIC = 0xE0F5E1E2
_COMPAT_CHECKSUM = 0x1
_COMPAT_MTIME = 0x2
_EXTENDED = 1
_SUPER = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24x")
_INODE = struct.Struct("<HHHHQIIIIqII16x")
_CHECKSUM_OFFSET = SUPER_OFFSET + 4
_CRC32C_POLYNOMIAL = 0x82F63B78
_NANOSECONDS = 1_000_000_000

NLINK_OFFSET = 44
"""Where an inode tells the number of its names, 32 bits."""


class Layout(IntEnum):
    """Where an inode's data is."""

    PLAIN = 0
    """In whole blocks."""
    INLINE = 2
    """In whole blocks but for the end, which follows the inode and lies in one block with it."""


class FileType(IntEnum):
    """What a directory says about an entry; not the bits of a mode."""

    REGULAR = 1
    DIRECTORY = 2
    CHARACTER_DEVICE = 3
    BLOCK_DEVICE = 4
    FIFO = 5
    SOCKET = 6
    SYMLINK = 7


class Inode(NamedTuple):
    """One extended inode."""

    layout: int
    mode: int
    """With the type's bits."""
    size: int = 0
    place: int = 0
    """First block of the data, or the number of a device."""
    serial: int = 0
    """A number below 2³² for who cannot take the nid."""
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    nlink: int = 1
    xattr_bytes: int = 0
    """Size of the extended attributes that follow the inode."""

    @property
    def head_bytes(self) -> int:
        """What lies before inline data."""
        return INODE_BYTES + self.xattr_bytes


def pack_inode(inode: Inode) -> bytes:
    """The inode's 64 bytes."""
    return pack_placed(inode, inode.layout, inode.place, inode.serial, inode.xattr_bytes)


def pack_placed(inode: Inode, layout: int, place: int, serial: int, xattr_bytes: int) -> bytes:
    """The same with what is known late: without making another tuple for each file of a layer."""
    _, mode, size, _, _, uid, gid, mtime_ns, nlink, _ = inode
    seconds, nanoseconds = divmod(mtime_ns, _NANOSECONDS)
    units = (xattr_bytes - 12) // 4 + 1 if xattr_bytes else 0
    return _INODE.pack(
        layout << 1 | _EXTENDED, units, mode, 0, size, place, serial, uid, gid, seconds, nanoseconds, nlink
    )


def unpack_inode(data: bytes) -> Inode:
    """The inode in the first 64 bytes. Raises `ValueError` for one that is not of the kind written here."""
    form, units, mode, _, size, place, serial, uid, gid, seconds, nanoseconds, nlink = _INODE.unpack_from(data)
    if not form & _EXTENDED or form >> 1 not in (Layout.PLAIN, Layout.INLINE):
        raise ValueError(f"inode format {form:#x} is none that is written here")
    return Inode(
        layout=form >> 1,
        mode=mode,
        size=size,
        place=place,
        serial=serial,
        uid=uid,
        gid=gid,
        mtime_ns=seconds * _NANOSECONDS + nanoseconds,
        nlink=nlink,
        xattr_bytes=12 + 4 * (units - 1) if units else 0,
    )


def device_number(major: int, minor: int) -> int:
    """A device in 32 bits, as Linux encodes it."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def first_block(*, root: bytes, inodes: int, blocks: int, uuid: bytes) -> bytes:
    """Block 0: nothing, the super block with its checksum, and the root's inode with what follows it.

    Args:
        root: at most `ROOT_BYTES`.
        inodes: how many the image has.
        blocks: how many it has.
        uuid: 16 bytes.
    """
    fields = [
        *(_MAGIC, 0, _COMPAT_CHECKSUM | _COMPAT_MTIME, BLOCK_BITS, 0, ROOT_NID),
        *(inodes, 0, 0, blocks, 0, 0, uuid, b"", 0, 0, 0, 0, 0, 0, 0, 0),
    ]
    block = bytearray(BLOCK_BYTES)
    _SUPER.pack_into(block, SUPER_OFFSET, *fields)
    start = SUPER_OFFSET + SUPER_BYTES
    block[start : start + len(root)] = root
    block[_CHECKSUM_OFFSET : _CHECKSUM_OFFSET + 4] = crc32c(bytes(block[SUPER_OFFSET:])).to_bytes(4, "little")
    return bytes(block)


ROOT_BYTES = BLOCK_BYTES - SUPER_OFFSET - SUPER_BYTES
"""Room for the root's inode, its attributes and what is inline."""


def empty_image() -> bytes:
    """A whole image of one block, with nothing in it but its root."""
    names = struct.pack("<QHBBQHBB", ROOT_NID, 24, FileType.DIRECTORY, 0, ROOT_NID, 25, FileType.DIRECTORY, 0) + b"..."
    inode = Inode(layout=Layout.INLINE, mode=stat.S_IFDIR | 0o755, size=len(names), nlink=2)
    return first_block(root=pack_inode(inode) + names, inodes=1, blocks=1, uuid=bytes(16))


def inode_count(block: bytes) -> int:
    """How many inodes an image has whose first block this is. Raises `ValueError` when it is none."""
    return int(_super_block(block)[6])


def block_count(block: bytes) -> int:
    """How many blocks an image has whose first block this is. Raises `ValueError` when it is none."""
    return int(_super_block(block)[9])


def _super_block(block: bytes) -> tuple[Any, ...]:
    if len(block) < SUPER_OFFSET + SUPER_BYTES:
        raise ValueError("too short for an erofs image")
    fields = _SUPER.unpack_from(block, SUPER_OFFSET)
    if fields[0] != _MAGIC:
        raise ValueError("not an erofs image")
    return fields


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_CRC32C_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """CRC-32C as erofs has it, without the last inversion. For a block now and then: it is slow."""
    table = _crc32c_table()
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value
