"""PAX extended headers: records of `length key=value`. Pure. Source: POSIX.1-2001, pax interchange format."""

from __future__ import annotations

from actors.transfer.unpack.header import HeaderError

XATTR_PREFIX = b"SCHILY.xattr."
SPARSE_PREFIX = b"GNU.sparse."

_MAX_LENGTH_DIGITS = 10
_MAX_DIGITS = 64
"""Of any other number: far more than anything has, and Python makes no integers of thousands of them."""
_NANOSECOND_DIGITS = 9
_NANOSECONDS = 1_000_000_000


def parse(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records in their order; one key may occur several times.

    Raises `HeaderError` for anything that is not a sequence of whole records.
    """
    records = []
    position = 0
    while position < len(data):
        blank = data.find(b" ", position, position + _MAX_LENGTH_DIGITS + 1)
        digits = data[position:blank]
        if blank < 0 or not digits.isdigit():
            raise HeaderError("a PAX record has no length")
        end = position + int(digits)
        record = data[blank + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(data) or not record.endswith(b"\n") or not equals or not key:
            raise HeaderError("a PAX record is not as long as it says")
        records.append((key, value))
        position = end
    return records


def decimal(value: bytes) -> int:
    """Decode an integer that is not negative. Raises `HeaderError`."""
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise HeaderError(f"{value[:32]!r} in a PAX record is no number")
    return int(value)


def time_ns(value: bytes) -> int:
    """Decode a time, seconds with any number of decimals, to nanoseconds; what is finer is cut off.

    Raises `HeaderError`.
    """
    whole, _, fraction = value.removeprefix(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > _MAX_DIGITS or not (not fraction or fraction.isdigit()):
        raise HeaderError(f"{value[:32]!r} in a PAX record is no time")
    nanoseconds = int(whole) * _NANOSECONDS
    if fraction:
        nanoseconds += int(fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, b"0"))
    return -nanoseconds if value.startswith(b"-") else nanoseconds
