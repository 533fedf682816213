"""Times as people read and write them."""

from __future__ import annotations

import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?")

_STEPS = (("year", 365 * 86400), ("month", 30 * 86400), ("week", 7 * 86400), ("day", 86400), ("hour", 3600))


def parse_seconds(text: str) -> float:
    """Seconds of `90`, `1.5s`, `500ms` or `1h30m`.

    Raises:
        ValueError: anything else; the sentence names the text.
    """
    total = 0.0
    position = 0
    for match in _NUMBER.finditer(text):
        if match.start() != position or (match[2] is None and match[0] != text):
            break
        total += float(match[1]) * _UNITS_S[match[2] or "s"]
        position = match.end()
    if not text or position != len(text):
        raise ValueError(f"'{text}' is not a duration such as 10, 1.5s, 500ms or 2m")
    return total


def spoken(seconds: float) -> str:
    """A length of time in its largest unit: `3 minutes`, `about an hour`, `less than a second`."""
    if seconds < 1:
        return "less than a second"
    if seconds < 120:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if seconds < 7200:
        return "about an hour" if seconds >= 3600 else f"{int(seconds // 60)} minutes"
    for name, length in _STEPS:
        count = int(seconds // length)
        # Two of a unit before it is used: "36 hours" says more than "1 day".
        if count >= 2 or (name == "hour" and count):
            return f"{count} {name}s"
    return f"{int(seconds // 3600)} hours"


def ago(then_ns: int, now_ns: int) -> str:
    """How long ago a time was; a dash for one that is not known."""
    if not then_ns:
        return "-"
    return f"{spoken(max(0, now_ns - then_ns) / 1e9)} ago"


def timestamp(at_ns: int) -> str:
    """A time of the wall clock as RFC 3339 in UTC, to the nanosecond; a dash for none."""
    if not at_ns:
        return "-"
    import time

    seconds, nanoseconds = divmod(at_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"
