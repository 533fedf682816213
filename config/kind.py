"""What a value may be: its type, its unit, its range, and how it is read from and written to TOML.

A kind promises two things about each setting: `parse` returns a typed value or says what to write instead, and
`write` gives a value back in the form a person would write. Both are pure. Flags and environment variables are read
by the same kinds.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable

import msgspec

from config.duration import MAX_DURATION_S, format_duration, parse_duration
from config.error import BadValue

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
_SIZES = {"KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1 << 40}
_INT64_MAX = (1 << 63) - 1


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A type of value.

    `expected` completes the sentence "expected …", `unit` is for the reference page, and `write` gives the TOML
    literal where it is not the plain one (a duration is written as "1m30s", permission bits as 0o660).
    """

    name: str
    expected: str
    read: Callable[[object], object]
    unit: str = ""
    write: Callable[[object], str] | None = None

    def parse(self, value: object) -> object:
        """Return the typed value. Raises: BadValue whose text is the remedy."""
        return self.read(value)


def text(*, expected: str = "a string") -> Kind:
    """Any text without NUL."""
    return Kind(name="string", expected=expected, read=_read_text)


def choice(*options: str) -> Kind:
    """One of the given words."""
    words = ", ".join(f'"{option}"' for option in options)

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise BadValue(f"write one of {words}")
        return value

    return Kind(name="string", expected=f"one of {words}", read=read)


def boolean() -> Kind:
    """True or false; environment variables say it as words."""

    def read(value: object) -> bool:
        found = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        if not isinstance(found, bool):
            raise BadValue("write true or false")
        return found

    return Kind(name="boolean", expected="true or false", read=read)


def integer(low: int, high: int, *, unit: str = "") -> Kind:
    """A whole number between two bounds, both allowed."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadValue(f"write a whole number from {low} to {high}")
        return value

    return Kind(name="integer", expected=f"an integer from {low} to {high}", read=read, unit=unit)


def number(low: float, high: float) -> Kind:
    """A number, whole or not, between two bounds, both allowed."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise BadValue(f"write a number from {low:g} to {high:g}")
        return float(value)

    return Kind(name="float", expected=f"a number from {low:g} to {high:g}", read=read)


def duration(low_s: float, high_s: float = MAX_DURATION_S) -> Kind:
    """Seconds as a number, or a text like "1m30s", between two bounds, both allowed."""
    below = f" up to {format_duration(high_s)}" if high_s < MAX_DURATION_S else ""
    least = f" of at least {format_duration(low_s)}" if low_s else ""

    def read(value: object) -> float:
        seconds = parse_duration(value)
        if seconds < low_s:
            raise BadValue(f'write at least "{format_duration(low_s)}"')
        if seconds > high_s:
            raise BadValue(f'write at most "{format_duration(high_s)}"')
        return seconds

    return Kind(
        name="duration",
        expected=f"a duration{least}{below}",
        read=read,
        unit="seconds",
        write=lambda value: f'"{format_duration(float(value))}"',  # type: ignore[arg-type]
    )


def size(low: int, high: int = _INT64_MAX) -> Kind:
    """Bytes as a number, or a text like "16MiB", between two bounds, both allowed."""
    bounds = f"from {format_size(low)} to {format_size(high)}" if high < _INT64_MAX else f"from {format_size(low)}"

    def read(value: object) -> int:
        found = _parse_size(value) if isinstance(value, str) else value
        if isinstance(found, bool) or not isinstance(found, int):
            raise BadValue('write a number of bytes or a text such as "16MiB"')
        if not low <= found <= high:
            raise BadValue(f"write a size {bounds}")
        return found

    return Kind(name="size", expected=f"a size in bytes {bounds}", read=read, unit="bytes", write=_write_size)


def mode() -> Kind:
    """Permission bits of a file, as a TOML octal integer or an octal text."""

    def read(value: object) -> int:
        try:
            bits = int(value.removeprefix("0o"), 8) if isinstance(value, str) else value
        except ValueError:
            bits = None
        if isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= 0o777:
            raise BadValue("write octal permission bits such as 0o660")
        return bits

    return Kind(
        name="mode",
        expected="permission bits from 0o000 to 0o777",
        read=read,
        unit="octal",
        write=lambda value: f"0o{value:03o}",
    )


def path(*, relative: bool = False) -> Kind:
    """A path; a relative one is made absolute where `relative` allows it, and refused elsewhere."""

    def read(value: object) -> str:
        found = _read_text(value)
        if not found or os.path.isabs(found):
            return os.path.normpath(found) if found else ""
        if not relative:
            raise BadValue(f'write an absolute path such as "/{found}"')
        return os.path.abspath(found)

    return Kind(name="path", expected="a path" if relative else "an absolute path", read=read)


def socket_address() -> Kind:
    """The path of a Unix socket, with or without `unix://` or `ipc://` before it."""

    def read(value: object) -> str:
        found = _read_text(value)
        for scheme in ("unix://", "ipc://"):
            found = found.removeprefix(scheme)
        if found.startswith("@"):
            raise BadValue("write a path: an abstract socket has no owner and no mode, so anybody could connect")
        if "://" in found:
            raise BadValue('write the path of a Unix socket; TCP has its own key, "tcp_address"')
        return os.path.abspath(found) if found else ""

    return Kind(name="address", expected="the path of a Unix socket", read=read)


def tcp_address() -> Kind:
    """`HOST:PORT`, or empty."""

    def read(value: object) -> str:
        found = _read_text(value).removeprefix("tcp://")
        if not found:
            return ""
        host, _, port = found.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadValue('write a host and a port such as "127.0.0.1:7070"')
        return found

    return Kind(name="address", expected='a TCP address such as "127.0.0.1:7070"', read=read)


def program() -> Kind:
    """The name of a program on PATH, or its absolute path."""

    def read(value: object) -> str:
        found = _read_text(value)
        if not found or ("/" in found and not os.path.isabs(found)):
            raise BadValue("write the name of a program on PATH, or an absolute path")
        return found

    return Kind(name="string", expected="the name of a program or its absolute path", read=read)


def strings(item: str = "a string", *, dotted: bool = False) -> Kind:
    """An array of texts. `dotted`: each is a plugin's full id, `type.id`."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise BadValue("write an array of strings in brackets")
        found = tuple(_read_text(entry) for entry in value)
        for entry in found:
            if not entry:
                raise BadValue("take the empty string out of the array")
            if dotted and "." not in entry.strip("."):
                raise BadValue(f'write the full id of "{entry}", its type before it: "wharfie.snapshotter.{entry}"')
        return tuple(dict.fromkeys(found))

    return Kind(name="array", expected=f"an array, each entry {item}", read=read)


def format_size(value: int) -> str:
    """Return "16MiB" for 16777216, "1000" for 1000: the largest unit that divides it."""
    for unit, factor in reversed(_SIZES.items()):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def _write_size(value: object) -> str:
    assert isinstance(value, int)
    formatted = format_size(value)
    return formatted if formatted.isdecimal() else f'"{formatted}"'


def _parse_size(value: str) -> int | None:
    for unit, factor in _SIZES.items():
        digits = value.removesuffix(unit)
        if digits != value and digits.isdecimal() and len(digits) < 20:
            return int(digits) * factor
    return None


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise BadValue("write a text in quotes")
    if "\0" in value:
        raise BadValue("take the NUL character out")
    return value
