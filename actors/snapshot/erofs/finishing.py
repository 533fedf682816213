"""The end of an image: all directories, placed first and then written, and the root in its own place."""

from __future__ import annotations

import stat

from actors.snapshot.erofs import attributes, dirents
from actors.snapshot.erofs.image import Image
from actors.snapshot.erofs.layout import (
    BLOCK_BYTES,
    INODE_BYTES,
    ROOT_BYTES,
    ROOT_NID,
    SLOT_BYTES,
    FileType,
    Inode,
    Layout,
    pack_inode,
)
from actors.snapshot.erofs.space import Space
from actors.snapshot.erofs.tree import Directory, Tree, kind_of, nid_of
from wharfie.errors import ResourceExhausted

_SELF = (b".", b"..")
_FIRST_LINKS = 2
_BLOCK_MASK = BLOCK_BYTES - 1


class _Plan:
    """Where one directory goes."""

    __slots__ = ("cuts", "inline", "names", "size", "xattrs")

    def __init__(self, directory: Directory, names: list[bytes], *, opaque_xattr: bytes) -> None:
        self.names = sorted((*_SELF, *names))
        self.cuts = dirents.pages(self.names)
        self.size = dirents.size_of(self.cuts)
        given = directory.xattrs or {}
        self.xattrs = attributes.encode({**given, opaque_xattr: b"y"} if directory.opaque else given)
        room = ROOT_BYTES if directory.parent is None else BLOCK_BYTES
        tail = self.size & _BLOCK_MASK
        self.inline = tail if INODE_BYTES + len(self.xattrs) + tail <= room else 0

    def place(self, directory: Directory, space: Space) -> tuple[int, int]:
        """Take space: the first block of what is not inline, and the nid."""
        whole = self.size - self.inline
        block = space.data(whole) if whole else 0
        if directory.parent is None:
            return block, ROOT_NID
        return block, space.record(INODE_BYTES + len(self.xattrs) + self.inline) // SLOT_BYTES


def finish(image: Image, tree: Tree, *, opaque_xattr: bytes, uuid: bytes) -> None:
    """Write the directories, the root, the super block: the image is whole then, not yet on the disk.

    Raises:
        ResourceExhausted: the root has more attributes than fit its place.
    """
    trial = image.space.copy()
    for directory, names in tree.directories():
        directory.nid = _Plan(directory, names, opaque_xattr=opaque_xattr).place(directory, trial)[1]
    root = b""
    for directory, names in tree.directories():
        # Planned anew: keeping all plans would cost more memory than all names.
        plan = _Plan(directory, names, opaque_xattr=opaque_xattr)
        record = _write(image, directory, plan)
        if directory.parent is None:
            root = record
        else:
            nid = image.record(record)
            assert nid == directory.nid, "the trial took the same places"
    if len(root) > ROOT_BYTES:
        raise ResourceExhausted(
            f"attributes of the root have more than the {ROOT_BYTES} bytes that an image has for it"
        )
    image.finish(root=root, uuid=uuid, links=_links(tree))


def _links(tree: Tree) -> dict[int, int]:
    # What has no name any more keeps one: nobody sees it, and a checker would complain of none.
    return {nid: count for nid, count in tree.links.items() if count > 1}


def _write(image: Image, directory: Directory, plan: _Plan) -> bytes:
    """Write the whole blocks of a directory; returns its inode with what follows it."""
    children = directory.children

    def target(name: bytes) -> tuple[int, int]:
        if name == b".":
            return directory.nid, FileType.DIRECTORY
        if name == b"..":
            return (directory.parent or directory).nid, FileType.DIRECTORY
        child = children[name]
        return (child.nid, FileType.DIRECTORY) if isinstance(child, Directory) else (nid_of(child), kind_of(child))

    whole = plan.size - plan.inline
    block = image.space.data(whole) if whole else 0
    tail = b""
    offset = block * BLOCK_BYTES
    for page in dirents.encode(plan.names, map(target, plan.names), plan.cuts):
        if plan.inline and len(page) < BLOCK_BYTES:
            tail = page
        else:
            image.write(offset, page, len(page))
            offset += len(page)
    inode = Inode(
        layout=Layout.INLINE if tail else Layout.PLAIN,
        mode=stat.S_IFDIR | directory.mode,
        size=plan.size,
        place=block,
        serial=image.serial() if directory.parent is not None else 0,
        uid=directory.uid,
        gid=directory.gid,
        mtime_ns=directory.mtime_ns,
        nlink=_FIRST_LINKS + sum(isinstance(child, Directory) for child in children.values()),
        xattr_bytes=len(plan.xattrs),
    )
    return b"".join((pack_inode(inode), plan.xattrs, tail))
