"""Putting encoded pieces together without decoding them: rows are answered as they lie in the database.

Pure. msgpack needs nothing but a header before the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from wharfie import protocol

T = TypeVar("T")

EMPTY_MAP = b"\x80"

_FIXMAP = 0x80
_FIXMAP_MAX = 15


def with_fields(record: bytes, fields: Iterable[tuple[str, bytes]]) -> bytes:
    """A small map with further fields, each already encoded; an empty map is left out, as a default is.

    Raises:
        ValueError: `record` is no map of at most 15 fields, or would have more.
    """
    count = record[0] - _FIXMAP if record else -1
    pieces = [b"", record[1:]]
    for name, value in fields:
        if value != EMPTY_MAP:
            count += 1
            pieces.append(protocol.encode(name))
            pieces.append(value)
    if not 0 <= count <= _FIXMAP_MAX:
        raise ValueError(f"a record of {count} fields is no small map")
    pieces[0] = bytes((_FIXMAP | count,))
    return b"".join(pieces)


def listing(name: str, items: Sequence[bytes]) -> bytes:
    """The map `{name: [items…]}` of items that are encoded already."""
    return b"".join((b"\x81", protocol.encode(name), _array_header(len(items)), *items))


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 1 << 16:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def decode(record: bytes, kind: type[T]) -> T:
    """A stored record as its type."""
    decoder: msgspec.msgpack.Decoder[T] = protocol.decoder(kind)
    return decoder.decode(record)
