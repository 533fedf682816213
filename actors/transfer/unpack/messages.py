"""What is asked of an unpacking job, and what it answers."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from actors.transfer.unpack.limits import Limits


class Whiteouts(StrEnum):
    """What becomes of an entry that says "this is deleted"."""

    OVERLAY = "overlay"
    """The marks that overlayfs understands: a character device 0:0, an xattr on an opaque directory."""
    PLAIN = "plain"
    """The deletion itself: the target holds the layers below."""


class UnpackRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Unpack one layer."""

    blob_path: str
    """The file with the blob, as it came: compressed or not."""
    offset: int = 0
    """Where in that file the blob begins; an image archive holds many."""
    length: int | None = None
    """The blob's bytes; None is to the file's end."""
    growth_fd: int = -1
    """Counter of the blob's bytes that are there (see `growth.py`); -1: all of them are."""
    media_type: str = ""
    """The blob's media type; may be empty, then its first bytes decide."""
    target: str
    """The directory to unpack into; it exists, nobody else writes to it, and the caller removes it after an error."""
    whiteouts: Whiteouts = Whiteouts.OVERLAY
    userxattr: bool = False
    """Mark opaque directories with `user.overlay.opaque` instead of `trusted.overlay.opaque`."""
    skip_devices: bool = False
    """Leave device nodes out, as a user namespace has to; the marks of overlayfs are none."""
    limits: Limits = Limits()
    sync: bool = False
    """Write the target's file system out to the disk before answering."""


class UnpackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer turned out to be."""

    diff_id: str
    """`sha256:…` of the uncompressed stream, to the last byte."""
    size_bytes: int
    """Size of the uncompressed stream."""
    entries: int
    """Number of entries applied, whiteouts included."""
    implicit_dirs: list[bytes]
    """Directories that had to be made because entries lie in them, though the archive does not have them itself.

    Relative to the target, parents first. They are 0755 and root's; a lower layer knows their true attributes."""
    skipped_xattrs: int = 0
    """Extended attributes that this file system does not store or that a layer may not set."""
