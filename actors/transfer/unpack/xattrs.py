"""Extended attributes of a layer's entries: which are set, and which are left out.

`trusted.*` is never set from an archive, nor anything that overlayfs itself reads: with those a layer could make up
whiteouts, redirects and foreign data. What the file system does not store is left out, as containerd does.
"""

from __future__ import annotations

import errno
import os

DEFAULT_ACL = b"system.posix_acl_default"
"""A directory with it gives what is made in it other permissions than asked for."""

ACCESS_ACL = b"system.posix_acl_access"

_KEPT = frozenset({b"security.capability", ACCESS_ACL, DEFAULT_ACL})
_FORBIDDEN = (b"trusted.", b"user.overlay.")
_SECURITY = b"security."
_CAPABILITY = b"security.capability"
_USER = b"user."


def opaque_name(*, userxattr: bool) -> str:
    """Return the attribute that marks a directory as opaque for overlayfs."""
    return "user.overlay.opaque" if userxattr else "trusted.overlay.opaque"


def is_kept(name: bytes) -> bool:
    """Say whether an attribute of a file belongs into a layer: users' own, capabilities, ACLs; not what a host's
    security modules, overlayfs or root keep for themselves.
    """
    return name in _KEPT or (name.startswith(_USER) and not name.startswith(_FORBIDDEN))


def path_of(fd: int, base: bytes = b"") -> bytes:
    """Return a path for calls that take no directory descriptor, nor one that was opened with O_PATH."""
    path = b"/proc/self/fd/%d" % fd
    return path + b"/" + base if base else path


def apply(target: int | bytes, attributes: dict[bytes, bytes], *, is_special: bool = False) -> int:
    """Set attributes on a descriptor, or on a path whose last component is not followed; return how many were left out.

    `is_special` says that it is neither a file nor a directory: the kernel refuses it attributes of users.
    Raises `OSError` for any other failure.
    """
    skipped = 0
    for name, value in attributes.items():
        if name.startswith(_FORBIDDEN):
            skipped += 1
            continue
        try:
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            if not _may_be_left_out(error.errno, name, is_special=is_special):
                raise
            skipped += 1
    return skipped


def _may_be_left_out(number: int | None, name: bytes, *, is_special: bool) -> bool:
    if number == errno.EOPNOTSUPP:
        return True
    if number != errno.EPERM:
        return False
    # Labels of security modules need privileges that the unpacking process has given up.
    return (is_special and name.startswith(_USER)) or (name.startswith(_SECURITY) and name != _CAPABILITY)
