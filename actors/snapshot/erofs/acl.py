"""POSIX ACLs as extended attributes hold them: checked as the kernel checks them, and fitted to a mode. Pure.

Source: the kernel's fs/posix_acl.c and uapi/linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_UNDEFINED = 0xFFFFFFFF

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_LETTERS = {USER_OBJ: "u", USER: "U", GROUP_OBJ: "g", GROUP: "G", MASK: "m", OTHER: "o"}
_ORDER = re.compile("ugo|uU*gG*mo")
"""Entries of named users and groups need a mask."""


class OtherVersionError(ValueError):
    """The attribute is of a version that the kernel does not know."""


class Entry(NamedTuple):
    """Who may do what."""

    tag: int
    permissions: int
    id: int = _UNDEFINED


def parse(value: bytes) -> list[Entry]:
    """The entries of an attribute; none for one that takes the ACL away.

    Raises:
        OtherVersionError: the version is not 2.
        OSError: EINVAL for one that the kernel would refuse.
    """
    if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if _HEADER.unpack_from(value)[0] != _VERSION:
        raise OtherVersionError
    entries = [Entry(*fields) for fields in _ENTRY.iter_unpack(value[_HEADER.size :])]
    order = "".join(_LETTERS.get(entry.tag, "?") for entry in entries)
    named_without_id = any(entry.tag in (USER, GROUP) and entry.id == _UNDEFINED for entry in entries)
    if entries and (not _ORDER.fullmatch(order) or named_without_id or any(entry.permissions > 7 for entry in entries)):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return [entry if entry.tag in (USER, GROUP) else entry._replace(id=_UNDEFINED) for entry in entries]


def with_mode(entries: Sequence[Entry], mode: int) -> list[Entry]:
    """What a chmod makes of an access ACL; nothing when the mode says all that it says."""
    if not any(entry.tag == MASK for entry in entries):
        return []
    bits = {USER_OBJ: mode >> 6 & 7, MASK: mode >> 3 & 7, OTHER: mode & 7}
    return [entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in entries]


def encode(entries: Sequence[Entry]) -> bytes:
    """The attribute's value."""
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in entries)
