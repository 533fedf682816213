"""Sizes read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.size import parse_bytes, spoken


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("512", 512), ("64m", 64 << 20), ("1.5g", 3 << 29), ("1KiB", 1024), ("2 MB", 2 << 20), ("10b", 10)],
)
def test_units_are_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1 2", "64mm", "1e3"])
def test_another_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (1 << 20, "1 MiB"),
        (150 << 20, "150 MiB"),
        (1 << 62, "4096 PiB"),
    ],
)
def test_a_size_has_about_three_digits(size_bytes: int, text: str) -> None:
    assert spoken(size_bytes) == text


@given(st.integers(min_value=0, max_value=1 << 63))
def test_what_is_written_can_be_read_again_to_about_half_a_percent(size_bytes: int) -> None:
    assert parse_bytes(spoken(size_bytes)) == pytest.approx(size_bytes, rel=0.006)
