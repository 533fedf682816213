"""Printing: aligned tables for people, JSON for programs. Nothing here knows what it prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = "   "


def plain(value: Any) -> Any:
    """A message as maps and lists with every field, also those that the wire leaves out for having their default."""
    fields = getattr(value, "__struct_fields__", None)
    if fields is not None:
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode(errors="replace")
    return value


def json_text(value: Any, *, indent: bool = True) -> str:
    """A message, or a list of them, as JSON."""
    import msgspec

    data = msgspec.json.encode(plain(value))
    return (msgspec.json.format(data, indent=2) if indent else data).decode()


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json_text(value) + "\n")


def print_json_line(value: Any) -> None:
    """Print one JSON document on one line and send it on its way: what a stream of them is made of."""
    sys.stdout.write(json_text(value, indent=False) + "\n")
    sys.stdout.flush()


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns aligned at the left, without trailing blanks; a cell's control characters are made visible."""
    cells = [list(header), *([visible(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "".join(f"{line}\n" for line in lines)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table."""
    sys.stdout.write(table(header, rows))


def print_lines(values: Iterable[object]) -> None:
    """Print each value on a line of its own."""
    sys.stdout.write("".join(f"{value}\n" for value in values))


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """`name: value` lines, the values aligned."""
    known = list(pairs)
    width = max((len(name) for name, _ in known), default=0)
    return "".join(f"{name + ':':<{width + 1}} {visible(value)}".rstrip() + "\n" for name, value in known)


def labels_text(labels: dict[str, str]) -> str:
    """Labels in one cell, as `ctr` shows them; a dash for none."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "-"


def short_id(text: str) -> str:
    """The first twelve digits of a random id or a digest; names that people chose stay whole."""
    _, _, digits = text.rpartition(":")
    if len(digits) >= 32 and all(letter in "0123456789abcdef" for letter in digits):
        return digits[:12]
    return text


def visible(value: object) -> str:
    """One value as text whose control characters are made visible."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
