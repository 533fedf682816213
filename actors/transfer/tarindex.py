"""The members of an image archive: name to place, read from a hostile tar without unpacking anything.

Only what image archives need is understood: files, links, long names (GNU and pax). A name is a key of a table and
never a path of this machine. When a name occurs twice the last one counts, as it would after unpacking.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from actors.transfer.plan import Source
from actors.transfer.unpack import header, pax
from actors.transfer.unpack.header import BLOCK_SIZE
from wharfie.errors import InvalidArgument, NotFound, ResourceExhausted

MAX_MEMBERS = 65_536
"""Members that an archive may have; an image has a handful for each layer."""
MAX_HOPS = 16
"""Links that lead to a member, one after another."""
_MAX_EXTENSION_BYTES = 1024 * 1024
"""A long name, or a pax record with everything that it says."""
_READ_BYTES = 64 * 1024

_WITH_DATA = frozenset({header.REGULAR, header.GNU_SPARSE, ord("D")})
_EXTENSIONS = frozenset({header.PAX, header.PAX_SOLARIS, header.PAX_GLOBAL, header.GNU_LONG_NAME, header.GNU_LONG_LINK})
_ZEROS = bytes(BLOCK_SIZE)


class Member(NamedTuple):
    """A file's bytes in the archive, or (with `link`) the name of the member that has them."""

    offset: int
    size: int
    link: str = ""


class _Entry(NamedTuple):
    """One member as its headers describe it, and where its data begins."""

    name: str
    link: str
    kind: int
    size: int
    offset: int


class TarIndex:
    """The members of a tar in a seekable file.

    Args:
        fd: stays the caller's; only `pread` is used.

    Raises:
        InvalidArgument: this is no tar, or it is cut short.
        ResourceExhausted: it has too many members.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.members: dict[str, Member] = {}
        for count, entry in enumerate(_entries(fd, os.fstat(fd).st_size)):
            if count >= MAX_MEMBERS:
                raise ResourceExhausted(f"archive has more than {MAX_MEMBERS} members", details={"limit": "members"})
            name = normalized(entry.name)
            if name is None:
                continue
            if entry.kind == header.REGULAR:
                self.members[name] = Member(entry.offset, entry.size)
            elif entry.kind in (header.HARDLINK, header.SYMLINK):
                base = posixpath.dirname(name) if entry.kind == header.SYMLINK else ""
                target = normalized(posixpath.join(base, entry.link))
                if target is not None:
                    self.members[name] = Member(0, 0, target)

    def find(self, name: str) -> Member | None:
        """The bytes of a member, through links; None when there is no such file."""
        wanted = normalized(name)
        for _ in range(MAX_HOPS):
            member = self.members.get(wanted) if wanted else None
            if member is None or not member.link or member.link == wanted:
                return member if member is not None and not member.link else None
            wanted = member.link
        return None

    def source(self, name: str) -> Source | None:
        """Where a member's bytes are; None when there is no such file."""
        member = self.find(name)
        return None if member is None else Source(offset=member.offset, length=member.size)

    def read(self, name: str, *, limit: int) -> bytes:
        """A member whole.

        Raises:
            NotFound: there is no such file.
            InvalidArgument: it is larger than `limit` bytes.
        """
        member = self.find(name)
        if member is None:
            raise NotFound(f"archive has no file '{name[:256]}'", details={"member": name[:256]})
        return self.read_at(member, limit=limit, name=name)

    def read_at(self, member: Member, *, limit: int, name: str) -> bytes:
        """The bytes of a member."""
        if member.size > limit:
            raise InvalidArgument(f"file '{name[:256]}' of the archive has {member.size} bytes, more than {limit}")
        return _pread(self._fd, member.size, member.offset)

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The bytes of a member, piece by piece."""
        done = 0
        while done < member.size:
            data = os.pread(self._fd, min(_READ_BYTES * 4, member.size - done), member.offset + done)
            if not data:
                raise _cut_short(member.offset + done)
            yield data
            done += len(data)


def normalized(name: str) -> str | None:
    """The one spelling of a member's name, relative and without dots; None for the root and for what leaves it."""
    path = posixpath.normpath(name.lstrip("/") or ".")
    return None if path in {".", ".."} or path.startswith("../") else path


def _entries(fd: int, end: int) -> Iterator[_Entry]:
    position = 0
    said: dict[bytes, bytes] = {}
    seen = False
    while position + BLOCK_SIZE <= end:
        block = _pread(fd, BLOCK_SIZE, position)
        if block == _ZEROS:
            # One block of zeros is an end too: some writers leave the second out.
            break
        try:
            head = header.parse(block)
            position += BLOCK_SIZE
            if head.typeflag in _EXTENSIONS:
                data = _extension(fd, head.size, position, end=end)
                _apply(said, head.typeflag, data)
                length = head.size
            else:
                length = pax.decimal(said[b"size"]) if b"size" in said else head.size
                length = length if head.typeflag in _WITH_DATA else 0
                if position + length > end:
                    raise _cut_short(end)
                name, link = said.get(b"path", head.name), said.get(b"linkpath", head.link)
                yield _Entry(os.fsdecode(name), os.fsdecode(link), head.typeflag, length, position)
                said = {}
        except header.HeaderError as error:
            raise InvalidArgument(
                f"archive is no tar, or broken at byte {position}: {error}", details={"field": "path"}
            ) from None
        seen = True
        position += -(-length // BLOCK_SIZE) * BLOCK_SIZE
    if not seen:
        raise InvalidArgument("archive is no tar: it has no member", details={"field": "path"})


def _apply(said: dict[bytes, bytes], kind: int, data: bytes) -> None:
    """Note what an extension says about the member that follows it."""
    if kind == header.GNU_LONG_NAME:
        said[b"path"] = data.partition(b"\0")[0]
    elif kind == header.GNU_LONG_LINK:
        said[b"linkpath"] = data.partition(b"\0")[0]
    elif kind != header.PAX_GLOBAL:
        said.update((key, value) for key, value in pax.parse(data) if value)


def _extension(fd: int, length: int, position: int, *, end: int) -> bytes:
    if length > _MAX_EXTENSION_BYTES:
        raise InvalidArgument(
            f"archive is malformed: a name or pax header of {length} bytes, more than {_MAX_EXTENSION_BYTES}",
            details={"field": "path"},
        )
    if position + length > end:
        raise _cut_short(end)
    return _pread(fd, length, position)


def _pread(fd: int, length: int, offset: int) -> bytes:
    parts = []
    while length:
        data = os.pread(fd, length, offset)
        if not data:
            raise _cut_short(offset)
        parts.append(data)
        length -= len(data)
        offset += len(data)
    return b"".join(parts)


def _cut_short(at: int) -> InvalidArgument:
    return InvalidArgument(
        f"archive is cut short: it ends at byte {at}, within a member", details={"field": "path", "reason": "truncated"}
    )
