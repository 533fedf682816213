"""One arrival and those who follow it, on a loop."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from actors.content.ingests import directory_of
from actors.content.store import blob_path
from actors.transfer.arrival import Arrivals, ref_of
from actors.transfer.layersource import REPLACED, open_source
from actors.transfer.plan import Layer
from wharfie.errors import Aborted, DataLoss, NotFound

DIGEST = f"sha256:{'1' * 64}"
LAYER = Layer(digest=DIGEST, media_type="", size=10, diff_id=DIGEST)


def on_a_loop(test: Callable[[Store], Coroutine[Any, Any, None]]) -> Callable[[Store], None]:
    """Run a test as the only task of a loop."""

    @functools.wraps(test)
    def run(store: Store) -> None:
        asyncio.run(test(store))

    return run


class Store:
    """The files that a content worker would have."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = Path(directory_of(f"{root}/ingest", "ns", ref_of(DIGEST))) / "data"
        self.blob = Path(blob_path(f"{root}/blobs", DIGEST))
        self.data.parent.mkdir(parents=True)
        self.blob.parent.mkdir(parents=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_everybody_who_holds_it_has_the_same_one(store: Store) -> None:
    arrivals = Arrivals(str(store.root))
    with arrivals.hold("ns", DIGEST) as first, arrivals.hold("ns", DIGEST) as second:
        assert first is second
        with arrivals.hold("other", DIGEST) as elsewhere:
            assert elsewhere is not first
    with arrivals.hold("ns", DIGEST) as later:
        assert later is not first


@on_a_loop
async def test_followers_get_the_file_and_count_what_comes(store: Store) -> None:
    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        waiting = asyncio.ensure_future(arrival.follow().__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        store.data.write_bytes(b"abc")
        arrival.arrived(3)
        following = await waiting
        assert os.eventfd_read(following.growth_fd) == 3
        assert os.pread(following.fd, 10, 0) == b"abc"
        arrival.arrived(7)
        assert os.eventfd_read(following.growth_fd) == 4
        async with arrival.follow() as late:
            assert os.eventfd_read(late.growth_fd) == 7


@on_a_loop
async def test_a_blob_that_is_there_is_followed_as_it_is(store: Store) -> None:
    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        arrival.complete(10)
        with pytest.raises(NotFound):
            async with arrival.follow():
                pass
        store.blob.write_bytes(b"0123456789")
        async with open_source(LAYER, open_layer=lambda _: (-1, 0, 0), arrival=arrival) as source:
            assert (source.growth_fd, source.length) == (-1, 10)
            assert os.pread(source.fd, 10, 0) == b"0123456789"


@on_a_loop
async def test_one_that_was_committed_before_it_was_looked_at_is_waited_for(store: Store) -> None:
    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        arrival.arrived(10)  # no file any more
        following = asyncio.ensure_future(arrival.follow().__aenter__())
        await asyncio.sleep(0)
        store.blob.write_bytes(b"0123456789")
        arrival.complete(10)
        assert os.pread((await following).fd, 10, 0) == b"0123456789"


@on_a_loop
async def test_work_on_bytes_that_are_replaced_is_begun_anew(store: Store) -> None:
    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        store.data.write_bytes(b"wrong")
        arrival.arrived(5)
        async with open_source(LAYER, open_layer=lambda _: (-1, 0, 0), arrival=arrival) as source:
            forever = asyncio.ensure_future(source.unless_replaced(asyncio.Event().wait()))
            await asyncio.sleep(0)
            arrival.arrived(0)
            with pytest.raises(Aborted) as caught:
                await forever
            assert caught.value.details["reason"] == REPLACED


@on_a_loop
async def test_who_follows_a_file_that_stays_short_goes_on_with_a_blob_that_came_another_way(store: Store) -> None:
    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        store.data.write_bytes(b"01234")
        arrival.arrived(5)
        async with open_source(LAYER, open_layer=lambda _: (-1, 0, 0), arrival=arrival) as source:
            forever = asyncio.ensure_future(source.unless_replaced(asyncio.Event().wait()))
            await asyncio.sleep(0)
            store.blob.write_bytes(b"0123456789")
            arrival.complete(10)
            with pytest.raises(Aborted) as caught:
                await asyncio.wait_for(forever, 10)
            assert caught.value.details["reason"] == REPLACED
        async with open_source(LAYER, open_layer=lambda _: (-1, 0, 0), arrival=arrival) as source:
            assert (source.growth_fd, os.pread(source.fd, 20, 0)) == (-1, b"0123456789")


@on_a_loop
async def test_a_failure_is_the_bytes_only_when_they_are_replaced(store: Store) -> None:
    async def fail() -> None:
        raise DataLoss("corrupt")

    with Arrivals(str(store.root)).hold("ns", DIGEST) as arrival:
        store.data.write_bytes(b"wrong")
        arrival.arrived(5)
        async with open_source(LAYER, open_layer=lambda _: (-1, 0, 0), arrival=arrival) as source:
            failing = asyncio.ensure_future(source.unless_replaced(fail()))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not failing.done(), "nobody knows yet whose fault it is"
            arrival.complete(5)
            with pytest.raises(DataLoss):
                await failing
