"""Sizes as people read and write them: powers of 1024, as memory and disks of this trade are counted."""

from __future__ import annotations

import re

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Bytes of `1048576`, `64m`, `1.5g` or `512KiB`; units are powers of 1024, as Docker's are.

    Raises:
        ValueError: anything else; the sentence names the text.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a size such as 1048576, 64m or 1.5g")
    power = " kmgtp".index(match[2].lower() or " ")
    return int(float(match[1]) * 1024**power) if "." in match[1] else int(match[1]) * 1024**power


def spoken(size_bytes: int) -> str:
    """A size with three digits or so: `512 B`, `4.2 MiB`."""
    size = float(size_bytes)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1024
    if unit == "B":
        return f"{size_bytes} B"
    return f"{size:.3g} {unit}" if size < 100 else f"{size:.0f} {unit}"
