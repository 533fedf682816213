"""Directories that a layer uses without describing them, inside of its finished image: made like those below.

As `actors/transfer/implicit.py` does it for a layer that is a directory. Only numbers are changed where they stand;
what would need room, extended attributes, is left to another way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from actors.snapshot.erofs import dirents
from actors.snapshot.erofs.layout import (
    BLOCK_BYTES,
    INODE_BYTES,
    ROOT_NID,
    SLOT_BYTES,
    Inode,
    Layout,
    pack_inode,
    unpack_inode,
)
from actors.snapshot.erofs.mounts import IMAGE
from actors.transfer.implicit import looks

_SLASH = ord("/")


def settle_image(upper: str, lower: Sequence[str], paths: Sequence[bytes]) -> bool:
    """Give each directory `paths` of an image the mode, owner and time of its namesake in the layers below.

    Returns False, and changes nothing, when one of them is a symbolic link there or has extended attributes: then the
    layer must be unpacked on top of those layers. Idempotent. Blocks. For an image that nobody has mounted.

    Args:
        upper: where the snapshot's upper directory was, beside the image.
        lower: roots of the layers below, the nearest first.
        paths: relative.
    """
    found = looks(lower, paths)
    if found is None or any(look.has_xattrs for look in found.values()):
        return False
    fd = os.open(f"{os.path.dirname(upper)}/{IMAGE}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        image = _Reader(fd)
        for path, look in found.items():
            nid = image.find(path)
            inode = image.inode(nid)._replace(
                mode=stat.S_IFDIR | look.mode, uid=look.uid, gid=look.gid, mtime_ns=look.mtime_ns
            )
            os.pwrite(fd, pack_inode(inode), nid * SLOT_BYTES)
    finally:
        os.close(fd)
    return True


class _Reader:
    """Finds directories in an image that was written here."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._known = {b"": ROOT_NID}

    def inode(self, nid: int) -> Inode:
        return unpack_inode(os.pread(self._fd, INODE_BYTES, nid * SLOT_BYTES))

    def find(self, path: bytes) -> int:
        """The nid of a path that is in the image, without links on the way."""
        for end in (*(index for index, byte in enumerate(path) if byte == _SLASH), len(path)):
            here = path[:end]
            if here not in self._known:
                parent, _, name = here.rpartition(b"/")
                entry = dirents.find(self._data(self._known[parent]), name)
                if entry is None:
                    raise FileNotFoundError(path)
                self._known[here] = entry[0]
        return self._known[path]

    def _data(self, nid: int) -> bytes:
        inode = self.inode(nid)
        tail = inode.size % BLOCK_BYTES if inode.layout == Layout.INLINE else 0
        data = os.pread(self._fd, inode.size - tail, inode.place * BLOCK_BYTES)
        return data + os.pread(self._fd, tail, nid * SLOT_BYTES + inode.head_bytes)
