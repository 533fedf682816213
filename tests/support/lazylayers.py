"""Layers as lazy pullers write them: valid gzip and zstd for everybody else. Made byte by byte here."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib

import zstandard

LANDMARK = ".prefetch.landmark"
INDEX = "stargz.index.json"


def estargz(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """An eStargz blob of these files, and the tar that it is: a gzip member for each file, the index, and a footer."""
    members: list[bytes] = []
    plain: list[bytes] = []
    for name, data in {**files, LANDMARK: b"\x0f"}.items():
        _add(members, plain, _entry(name, data))
    offset = sum(map(len, members))
    index = json.dumps({"version": 1, "entries": [{"name": name, "type": "reg"} for name in files]}).encode()
    _add(members, plain, _entry(INDEX, index) + bytes(1024))
    return b"".join(members) + _footer(offset), b"".join(plain)


def _add(members: list[bytes], plain: list[bytes], data: bytes) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    members.append(compressor.compress(data) + compressor.flush())
    plain.append(data)


def _footer(offset: int) -> bytes:
    """An empty member whose extra field says where the index begins."""
    field = b"%016xSTARGZ" % offset
    extra = b"SG" + struct.pack("<H", len(field)) + field
    head = b"\x1f\x8b\x08\x04" + bytes(4) + b"\0\xff" + struct.pack("<H", len(extra)) + extra
    return head + b"\x01\0\0\xff\xff" + bytes(8)


def zstd_chunked(files: dict[str, bytes]) -> tuple[bytes, bytes]:
    """A zstd:chunked blob of these files, and its tar: a frame for each file, then manifest and footer in skippable
    ones."""
    packer = zstandard.ZstdCompressor(level=3)
    plain = [_entry(name, data) for name, data in files.items()] + [bytes(1024)]
    frames = [packer.compress(data) for data in plain]
    manifest = packer.compress(json.dumps({"version": 1, "entries": []}).encode())
    footer = struct.pack("<QQQQ", sum(map(len, frames)) + 8, len(manifest), 30, 1) + b"GNUlInUx" * 4
    return b"".join(frames) + _skippable(manifest) + _skippable(footer), b"".join(plain)


def _skippable(data: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, len(data)) + data


def _entry(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as out:
        out.addfile(info, io.BytesIO(data))
    # Without the end of the archive, which stands once, in the last member.
    return buffer.getvalue()[: 512 + (len(data) + 511) // 512 * 512]
