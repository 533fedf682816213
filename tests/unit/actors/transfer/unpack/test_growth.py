from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator

import pytest

from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.growth import Growth, counter
from actors.transfer.unpack.layerstream import LayerStream
from actors.transfer.unpack.limits import Limits
from wharfie.errors import Code

DATA = b"".join(b"%d\n" % number for number in range(200_000))
BLOB = gzip.compress(DATA, compresslevel=1)


@pytest.fixture
def told() -> Iterator[int]:
    fd = counter()
    yield fd
    os.close(fd)


@pytest.fixture
def file() -> Iterator[int]:
    fd = os.memfd_create("growing")
    yield fd
    os.close(fd)


def arrive(file: int, told: int, pieces: list[bytes]) -> None:
    for piece in pieces:
        os.write(file, piece)
        os.eventfd_write(told, len(piece))


@pytest.mark.parametrize("piece", [1, 3, 1000, 100_000, len(BLOB)])
def test_a_layer_is_read_while_it_arrives_in_pieces_of_any_size(file: int, told: int, piece: int) -> None:
    head = [BLOB[:10][at : at + piece] for at in range(0, 10, piece)]
    rest = [BLOB[10:][at : at + max(piece, 1000)] for at in range(0, len(BLOB) - 10, max(piece, 1000))]
    writer = threading.Thread(target=arrive, args=(file, told, [*head, *rest]))
    writer.start()
    with LayerStream(file, media_type="", bounds=Limits(), length=len(BLOB), growth=Growth(told)) as stream:
        assert b"".join(iter(stream.next_chunk, b"")) == DATA
        assert stream.consumed_bytes == len(BLOB)
    writer.join()


def test_what_is_already_there_is_told_by_the_first_number(told: int) -> None:
    os.eventfd_write(told, 7)
    os.eventfd_write(told, 5)
    growth = Growth(told)
    assert growth.at_least(1) == 12
    assert growth.at_least(12) == 12


def test_a_stream_that_waits_for_more_can_be_closed(file: int, told: int) -> None:
    before = threading.active_count()
    arrive(file, told, [BLOB[:1000]])
    with LayerStream(file, media_type="", bounds=Limits(), length=len(BLOB), growth=Growth(told)) as stream:
        assert DATA.startswith(stream.next_chunk())
    assert threading.active_count() == before


def test_who_waits_when_it_is_stopped_gets_an_error(told: int) -> None:
    growth = Growth(told)
    caught: list[UnpackError] = []

    def wait() -> None:
        try:
            growth.at_least(1)
        except UnpackError as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    growth.stop()
    growth.stop()
    waiter.join(30)
    assert [error.code for error in caught] == [Code.ABORTED]


def test_a_file_that_is_shorter_than_was_told_is_data_loss(file: int, told: int) -> None:
    arrive(file, told, [BLOB[:-100]])
    os.eventfd_write(told, 100)
    with (
        LayerStream(file, media_type="", bounds=Limits(), length=len(BLOB), growth=Growth(told)) as stream,
        pytest.raises(UnpackError, match="cut off") as caught,
    ):
        b"".join(iter(stream.next_chunk, b""))
    assert caught.value.code is Code.DATA_LOSS
