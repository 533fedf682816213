from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack.bytestream import ByteStream


@given(chunks=st.lists(st.binary(max_size=20)), steps=st.lists(st.tuples(st.sampled_from("tps"), st.integers(0, 30))))
def test_any_reads_give_the_bytes_in_order_and_count_them(chunks: list[bytes], steps: list[tuple[str, int]]) -> None:
    whole = b"".join(chunks)
    stream = ByteStream.of(chunks)
    position = 0
    for kind, size in steps:
        expected = whole[position : position + size]
        if kind == "t":
            assert stream.take(size) == expected
        elif kind == "s":
            assert stream.skip(size) == len(expected)
        elif size:
            piece = bytes(stream.piece(size))
            assert expected.startswith(piece)
            assert piece or not expected
            expected = piece
        position += len(expected)
        assert stream.offset == position
    assert stream.drain() == len(whole) - position
    assert stream.take(1) == b""


def test_a_piece_stays_valid_when_the_stream_goes_on() -> None:
    stream = ByteStream.of([b"abc", b"def"])
    piece = stream.piece(3)
    stream.drain()
    assert bytes(piece) == b"abc"


def test_nothing_is_read_before_it_is_asked_for() -> None:
    asked = []

    def chunk() -> bytes:
        asked.append(1)
        return b"x" * 10

    stream = ByteStream(chunk)
    assert not asked
    stream.take(10)
    assert len(asked) == 1
