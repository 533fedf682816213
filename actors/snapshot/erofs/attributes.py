"""Extended attributes as they stand behind an inode, and which of an archive's come there. Pure.

No kernel looks at what goes into an image, so what it would refuse or leave out when an archive is extracted is refused
or left out here: the image then shows what a directory would.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Mapping

from actors.snapshot.erofs import acl
from actors.snapshot.erofs.layout import MAX_XATTR_UNITS, NAME_MAX
from actors.transfer.unpack.xattrs import ACCESS_ACL, DEFAULT_ACL

_USER = b"user."
_SECURITY = b"security."
_FORBIDDEN = (b"trusted.", b"user.overlay.")
_CAPABILITY = b"security.capability"
_CAPABILITY_FORMS = {(20, 0x02), (24, 0x03)}
"""Size and revision."""

# The longest first: the names of ACLs have no remainder.
_PREFIXES = ((ACCESS_ACL, 2), (DEFAULT_ACL, 3), (_USER, 1), (b"trusted.", 4), (_SECURITY, 6))
_ENTRY = struct.Struct("<BBH")
_HEADER_BYTES = 12
_VALUE_MAX = 0xFFFF


def _refuse(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def encode(attributes: Mapping[bytes, bytes]) -> bytes:
    """What stands behind an inode; nothing for no attributes. Names of other kinds are left out.

    Raises:
        OSError: E2BIG when they have more room than there is, ERANGE for a name that is too long.
    """
    parts: list[bytes] = []
    for name in sorted(attributes):
        value = attributes[name]
        found = next(((prefix, index) for prefix, index in _PREFIXES if name.startswith(prefix)), None)
        if found is None:
            continue
        rest = name[len(found[0]) :]
        if len(name) > NAME_MAX:
            raise _refuse(errno.ERANGE)
        if len(value) > _VALUE_MAX:
            raise _refuse(errno.E2BIG)
        entry = _ENTRY.pack(len(rest), found[1], len(value)) + rest + value
        parts.append(entry + bytes(-len(entry) % 4))
    if not parts:
        return b""
    body = bytes(_HEADER_BYTES) + b"".join(parts)
    if (len(body) - _HEADER_BYTES) // 4 + 1 > MAX_XATTR_UNITS:
        raise _refuse(errno.E2BIG)
    return body


def of_archive(given: Mapping[bytes, bytes], mode: int) -> dict[bytes, bytes]:
    """The attributes of an entry that an extractor would have set.

    Args:
        given: of the entry.
        mode: of the file, with its type.

    Raises:
        OSError: what the kernel refuses: EINVAL for a malformed capability or ACL, EACCES for a default ACL of
            what is no directory.
    """
    kind = stat.S_IFMT(mode)
    kept: dict[bytes, bytes] = {}
    for name, value in given.items():
        if name.startswith(_FORBIDDEN):
            continue
        if name.startswith(_USER):
            # The kernel refuses users' attributes on what is neither file nor directory, and the extractor goes on.
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                continue
        elif name in (ACCESS_ACL, DEFAULT_ACL):
            if kind != stat.S_IFLNK:
                _add_acl(kept, name, value, mode)
            continue
        elif not name.startswith(_SECURITY):
            continue
        elif name == _CAPABILITY and (len(value), value[3] if len(value) > 3 else 0) not in _CAPABILITY_FORMS:
            raise _refuse(errno.EINVAL)
        if name in (_USER, _SECURITY):
            raise _refuse(errno.EINVAL)
        if len(value) > _VALUE_MAX:
            raise _refuse(errno.E2BIG)
        kept[name] = value
    return kept


def _add_acl(kept: dict[bytes, bytes], name: bytes, value: bytes, mode: int) -> None:
    try:
        entries = acl.parse(value)
    except acl.OtherVersionError:
        return
    if name == DEFAULT_ACL:
        if entries and not stat.S_ISDIR(mode):
            raise _refuse(errno.EACCES)
    else:
        entries = acl.with_mode(entries, mode)
    if entries:
        kept[name] = acl.encode(entries)
