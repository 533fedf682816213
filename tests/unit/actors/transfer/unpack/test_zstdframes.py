from __future__ import annotations

import io

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack import zstdframes
from actors.transfer.unpack.zstdframes import FrameError, Piece


def pieces(data: bytes, *, read: int = 1000, blocks: int = 8) -> list[Piece]:
    file = io.BytesIO(data)
    return list(zstdframes.pieces(lambda: file.read(read), blocks=blocks))


@given(
    data=st.binary(max_size=3000),
    repeat=st.sampled_from([1, 1, 500]),
    level=st.sampled_from([-5, 1, 19]),
    checksum=st.booleans(),
    content_size=st.booleans(),
    read=st.integers(1, 5000),
    blocks=st.integers(1, 4),
)
def test_the_pieces_of_any_frame_are_the_frame(
    *, data: bytes, repeat: int, level: int, checksum: bool, content_size: bool, read: int, blocks: int
) -> None:
    frame = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=content_size).compress(
        data * repeat
    )
    found = pieces(frame * 2, read=read, blocks=blocks)
    assert b"".join(piece.data for piece in found) == frame * 2
    assert [piece.is_last for piece in found].count(True) == 2
    assert found[-1].is_last


def test_a_piece_becomes_no_more_than_its_blocks_can() -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(10_000_000))
    decoder = zstandard.ZstdDecompressor().decompressobj()
    sizes = [len(decoder.decompress(piece.data)) for piece in pieces(frame, blocks=2)]
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 2 * zstdframes.BLOCK_MAX_BYTES


@given(st.binary(max_size=300))
def test_any_bytes_are_cut_or_refused(data: bytes) -> None:
    try:
        pieces(zstdframes.MAGIC + data)
    except FrameError:
        return


def test_a_reserved_block_is_refused() -> None:
    with pytest.raises(FrameError, match="reserved"):
        pieces(zstdframes.MAGIC + b"\x20\x00" + b"\x07\x00\x00")
