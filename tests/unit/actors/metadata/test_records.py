"""Encoded pieces put together are what encoding the whole gives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.metadata import records
from wharfie import protocol

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefghijkl"), json), st.dictionaries(st.text(), json), st.lists(json))
def test_a_record_with_fields_decodes_as_one_map(base: dict[str, Any], spec: dict[str, Any], other: list[Any]) -> None:
    found = msgspec.msgpack.decode(
        records.with_fields(
            protocol.encode(base), [("spec", protocol.encode(spec)), ("extensions", protocol.encode(other))]
        )
    )
    assert found == {**base, **({"spec": spec} if spec else {}), "extensions": other}


def test_more_than_fifteen_fields_are_refused() -> None:
    base = protocol.encode({str(n): n for n in range(15)})
    with pytest.raises(ValueError, match="16 fields"):
        records.with_fields(base, [("x", b"\xc0")])


@pytest.mark.parametrize("record", [b"", b"\xc0", b"\x90", protocol.encode({str(n): n for n in range(16)})])
def test_what_is_no_small_map_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="no small map"):
        records.with_fields(record, [])


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65535, 65536, 70000])
def test_a_listing_of_any_length_decodes(count: int) -> None:
    assert msgspec.msgpack.decode(records.listing("things", [b"\x01"] * count)) == {"things": [1] * count}
