from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack import pax
from actors.transfer.unpack.header import HeaderError
from tests.support import tars

keys = st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key)


@given(st.lists(st.tuples(keys, st.binary(max_size=200))))
def test_records_come_back_in_order_whatever_their_values_hold(records: list[tuple[bytes, bytes]]) -> None:
    assert pax.parse(b"".join(tars.pax_record(*record) for record in records)) == records


@given(st.binary(max_size=100))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        pax.parse(data)
    except HeaderError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"9 path=ab",
        b"11 path=a\n",
        b"5 path=abc\n",
        b"0 path=a\n",
        b"-9 path=a\n",
        b"99999999999 path=a\n",
        b"7 path\n",
        b"5 =a\n",
        b"\0" * 20,
    ],
)
def test_broken_records_are_refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="PAX record"):
        pax.parse(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1", 1_000_000_000),
        (b"1.5", 1_500_000_000),
        (b"1.", 1_000_000_000),
        (b"1600000000.123456789", 1_600_000_000_123_456_789),
        (b"1600000000.1234567899", 1_600_000_000_123_456_789),
        (b"-1.5", -1_500_000_000),
        (b"0.000000001", 1),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: bytes, expected: int) -> None:
    assert pax.time_ns(text) == expected


@pytest.mark.parametrize("text", [b"", b"x", b"1.x", b".5", b"1e9", b"--1", b"1_0", b"nan", b"9" * 5000])
def test_what_is_no_time_is_refused(text: bytes) -> None:
    with pytest.raises(HeaderError, match="time"):
        pax.time_ns(text)


@pytest.mark.parametrize("text", [b"", b"-1", b"1.0", b"0x1", b"1_0", b"9" * 5000])
def test_what_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(HeaderError, match="number"):
        pax.decimal(text)
