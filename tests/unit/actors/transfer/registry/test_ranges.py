from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.ranges import Range, split


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(1, 1 << 18))
def test_parts_cover_the_rest_of_the_blob_once(size: int, start: int, part_bytes: int) -> None:
    part_bytes = max(part_bytes, 2048)
    at = start
    for part in split(size, start=start, part_bytes=part_bytes):
        assert part.offset == at
        assert 1 <= part.length <= part_bytes
        at = part.end
    assert at == max(size, start)


def test_parts_are_not_smaller_than_a_request_is_worth() -> None:
    assert list(split(1000, part_bytes=1)) == [Range(0, 512), Range(512, 488)]
