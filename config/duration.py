"""Durations as people write them: seconds as a number, or a text such as "1m30s".

The text form is the one of containerd's own configuration (Go's duration syntax): a sequence of decimal numbers, each
with a unit of `h m s ms us µs ns`. Inside the daemon a duration is always a float of seconds.
"""

from __future__ import annotations

import math
import re

from config.error import BadValue

NS_PER_S = 1_000_000_000

# A signed 64-bit count of nanoseconds, the range of the text form where it was born: about 292 years.
MAX_DURATION_S = (2**63 - 1) / NS_PER_S

_UNIT_NS = {
    "h": 3600 * NS_PER_S,
    "m": 60 * NS_PER_S,
    "s": NS_PER_S,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,
    "ns": 1,
}
_PART = re.compile(r"(?:(\d+)(?:\.(\d*))?|\.(\d+))(h|ms|m|s|us|µs|μs|ns)", re.ASCII)


def parse_duration(value: object) -> float:
    """Return the seconds that `value` means: a number of seconds, or a text like "5s", "1m30s", "300ms", "1.5h".

    Pure. Nanoseconds are the finest grain; finer digits of a text are cut off. Negative, infinite and not-a-number
    values are refused.
    Raises: BadValue with a remedy in its text.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise BadValue('write a number of seconds or a text such as "5s"')
    seconds = _parse_text(value) if isinstance(value, str) else value
    if not math.isfinite(seconds):
        raise BadValue("a duration is finite")
    if seconds < 0:
        raise BadValue("a duration is not negative")
    if seconds > MAX_DURATION_S:
        raise BadValue(f'a duration is at most "{format_duration(MAX_DURATION_S)}"')
    return float(seconds)


def _parse_text(text: str) -> float:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if len(rest) > 64:  # long before int() refuses or takes its time
        raise BadValue('write a duration in at most 64 characters, such as "1m30s"')
    total_ns = 0
    end = 0
    for part in _PART.finditer(rest):
        if part.start() != end:
            break
        end = part.end()
        whole, fraction, bare_fraction, unit = part.groups()
        total_ns += int(whole or 0) * _UNIT_NS[unit]
        digits = bare_fraction or fraction
        if digits:
            total_ns += int(digits) * _UNIT_NS[unit] // 10 ** len(digits)
    if not rest or end != len(rest):
        hint = ": the unit is missing" if rest and rest.replace(".", "", 1).isdecimal() else ""
        raise BadValue(f'write numbers with units of h, m, s, ms, us, ns, such as "1m30s"{hint}')
    if total_ns > 2**63 - 1:
        return math.inf
    return sign * total_ns / NS_PER_S


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads back as `seconds`, to the nanosecond: "1m30s", "300ms"."""
    total_ns = round(seconds * NS_PER_S)
    if total_ns == 0:
        return "0s"
    if total_ns < NS_PER_S:
        unit = "ms" if total_ns >= 1_000_000 else "us" if total_ns >= 1_000 else "ns"
        return _decimal(total_ns, _UNIT_NS[unit]) + unit
    hours, rest = divmod(total_ns, _UNIT_NS["h"])
    minutes, rest = divmod(rest, _UNIT_NS["m"])
    text = f"{hours}h" if hours else ""
    if minutes:
        text += f"{minutes}m"
    if rest:
        text += _decimal(rest, NS_PER_S) + "s"
    return text


def _decimal(value: int, scale: int) -> str:
    """Return value / scale exactly; `scale` is a power of ten."""
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    width = len(str(scale)) - 1
    return f"{whole}.{rest:0{width}d}".rstrip("0")
