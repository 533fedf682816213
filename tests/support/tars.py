"""Layers for tests: by Python's tarfile where it can write them, byte by byte where it refuses to."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import NamedTuple

MTIME = 1_600_000_000


class Member(NamedTuple):
    """One entry and its data."""

    info: tarfile.TarInfo
    data: bytes = b""


def _info(name: str, kind: bytes, mode: int, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, MTIME
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def file(name: str, data: bytes = b"", *, mode: int = 0o644, **attributes: object) -> Member:
    return Member(_info(name, tarfile.REGTYPE, mode, size=len(data), **attributes), data)


def directory(name: str, *, mode: int = 0o755, **attributes: object) -> Member:
    return Member(_info(name, tarfile.DIRTYPE, mode, **attributes))


def symlink(name: str, target: str, *, mode: int = 0o777, **attributes: object) -> Member:
    return Member(_info(name, tarfile.SYMTYPE, mode, linkname=target, **attributes))


def hardlink(name: str, target: str, *, mode: int = 0o644, **attributes: object) -> Member:
    return Member(_info(name, tarfile.LNKTYPE, mode, linkname=target, **attributes))


def node(name: str, kind: bytes, *, mode: int = 0o600, major: int = 0, minor: int = 0, **attributes: object) -> Member:
    return Member(_info(name, kind, mode, devmajor=major, devminor=minor, **attributes))


def tar(
    members: Iterable[Member], *, fmt: int = tarfile.PAX_FORMAT, pax_headers: dict[str, str] | None = None
) -> bytes:
    """Return an archive of these members; `pax_headers` become its global header."""
    buffer = io.BytesIO()
    headers = pax_headers if fmt == tarfile.PAX_FORMAT else None
    with tarfile.open(fileobj=buffer, mode="w", format=fmt, pax_headers=headers) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def header(
    name: bytes,
    *,
    typeflag: bytes = b"0",
    size: bytes | int = 0,
    mode: bytes = b"0000644",
    uid: bytes = b"0000000",
    gid: bytes = b"0000000",
    mtime: bytes = b"00000000000",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    major: bytes = b"",
    minor: bytes = b"",
    tail: bytes = b"",
    signed: bool = False,
) -> bytes:
    """Return one block with exactly these fields and the checksum that fits; `tail` is what follows byte 345."""
    size = b"%011o" % size if isinstance(size, int) else size
    fields = (
        (name, 100),
        (mode, 8),
        (uid, 8),
        (gid, 8),
        (size, 12),
        (mtime, 12),
        (b" " * 8, 8),
        (typeflag, 1),
        (link, 100),
        (magic, 8),
        (b"", 32),
        (b"", 32),
        (major, 8),
        (minor, 8),
        (tail, 167),
    )
    for field, width in fields:
        assert len(field) <= width
    block = b"".join(field.ljust(width, b"\0") for field, width in fields)
    total = sum(byte - 256 * (signed and byte > 127) for byte in block)
    return block[:148] + b"%06o\0 " % total + block[156:]


def padded(data: bytes) -> bytes:
    """Return the data filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def pax_record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + len(str(len(body)))
    size = len(body) + len(str(size))
    return b"%d" % size + body


def pax(*records: tuple[bytes, bytes], typeflag: bytes = b"x") -> bytes:
    """Return an extended header with these records."""
    data = b"".join(pax_record(key, value) for key, value in records)
    return header(b"PaxHeaders/x", typeflag=typeflag, size=len(data)) + padded(data)


def raw_file(name: bytes, data: bytes = b"", **fields: bytes) -> bytes:
    """Return a file's header and data."""
    return header(name, size=len(data), **fields) + padded(data)  # type: ignore[arg-type]


END = bytes(1024)
