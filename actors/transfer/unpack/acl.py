"""POSIX access control lists as star and GNU tar write them, made into the attribute that the kernel takes. Pure.

Go and others write that attribute itself; star's records are text: `user::rw-,user:ann:r--:1000,group::r--,mask::r--`,
separated by commas or line ends, ids as numbers or behind a name. Source: acl(5); the kernel's posix_acl_xattr.h.
"""

from __future__ import annotations

import struct

from actors.transfer.unpack.xattrs import ACCESS_ACL, DEFAULT_ACL

RECORDS = {b"SCHILY.acl.access": ACCESS_ACL, b"SCHILY.acl.default": DEFAULT_ACL}
"""Key of a PAX record to the attribute that it stands for."""

_VERSION = 2
_NO_ID = 0xFFFFFFFF
_MAX_ENTRIES = 1024
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_OWN = {b"user": _USER_OBJ, b"group": _GROUP_OBJ, b"mask": _MASK, b"other": _OTHER}
_NAMED = {b"user": _USER, b"group": _GROUP}
_LONG = {b"u": b"user", b"g": b"group", b"m": b"mask", b"o": b"other"}
_PERMISSIONS = {ord("r"): 4, ord("w"): 2, ord("x"): 1, ord("-"): 0}

_Entry = tuple[int, int, int]
"""Tag, id, permissions: they sort as the kernel wants them."""


def encode(text: bytes) -> bytes | None:
    """Return the attribute's value; None for what is no list.

    An entry for a name without a number is left out: what this host calls by that name is somebody else.
    """
    entries: set[_Entry] = set()
    for line in text.replace(b",", b"\n").split(b"\n"):
        words = line.partition(b"#")[0].strip()
        if not words:
            continue
        try:
            entry = _entry(words.split(b":"))
        except ValueError:
            return None
        if entry is not None:
            entries.add(entry)
    if not _is_complete(entries):
        return None
    packed = (struct.pack("<HHI", tag, permissions, number) for tag, number, permissions in sorted(entries))
    return struct.pack("<I", _VERSION) + b"".join(packed)


def _entry(parts: list[bytes]) -> _Entry | None:
    """One entry; None when its name means nothing here. Raises `ValueError` when it is none."""
    if parts[0] in (b"default", b"d"):
        parts = parts[1:]
    kind = _LONG.get(parts[0], parts[0])
    if len(parts) == 2 and kind in (b"mask", b"other"):
        parts = [kind, b"", parts[1]]
    if len(parts) not in (3, 4) or kind not in _OWN:
        raise ValueError(parts)
    permissions = _permissions(parts[2])
    name, number = parts[1], parts[3] if len(parts) == 4 else parts[1]
    if not name and not number:
        return (_OWN[kind], _NO_ID, permissions)
    if kind not in _NAMED:
        raise ValueError(parts)
    if name == b"root":
        number = b"0"
    if not number.isdigit() or int(number) >= _NO_ID:
        return None
    return (_NAMED[kind], int(number), permissions)


def _permissions(text: bytes) -> int:
    if not text or len(text) > 3:
        raise ValueError(text)
    bits = 0
    for letter in text:
        if letter not in _PERMISSIONS:
            raise ValueError(text)
        bits |= _PERMISSIONS[letter]
    return bits


def _is_complete(entries: set[_Entry]) -> bool:
    """Whether the kernel takes it: one of each basic entry, a mask where somebody is named, nobody twice."""
    tags = [tag for tag, _, _ in entries]
    needed = {_USER_OBJ, _GROUP_OBJ, _OTHER, *([_MASK] if _USER in tags or _GROUP in tags else [])}
    named = [(tag, number) for tag, number, _ in entries]
    return needed <= set(tags) and len(set(named)) == len(named) and len(named) <= _MAX_ENTRIES
