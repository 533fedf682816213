"""How much a layer may ask for before it is refused."""

from __future__ import annotations

import msgspec

from actors.transfer.unpack.errors import UnpackError
from wharfie.errors import Code

GIB = 1 << 30


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one layer; the defaults are above any layer that is meant to be used."""

    total_bytes: int = 256 * GIB
    """Size of the uncompressed stream."""
    entries: int = 10_000_000
    """Number of files, directories and so on."""
    file_bytes: int = 256 * GIB
    """Size of one file, holes included."""
    ratio: int = 10_000
    """Uncompressed size over compressed size, looked at beyond `ratio_floor_bytes`."""
    ratio_floor_bytes: int = GIB


def exceeded(name: str, limit: int, *, unit: str = "bytes") -> UnpackError:
    """Return the error for a layer beyond the limit called `name`."""
    return UnpackError(
        Code.RESOURCE_EXHAUSTED,
        f"layer is beyond the limit '{name}' of {limit} {unit}; raise the limit if the layer is trusted",
        {"limit": name, "value": limit},
    )
