"""A lease for as long as an operation works, also when its request is there twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest

from actors.call import Call
from actors.transfer.leasing import leased
from actors.worker import Worker
from wharfie.errors import AlreadyExists, NotFound
from wharfie.protocol import Routed
from wharfie.types.leases import Lease


class Leases:
    """A worker as far as leases go; each answer takes some turns of the loop."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.made = 0

    async def call(self, method: str, request: Any, _reply: Any, **_rest: Any) -> Lease | None:
        for _ in range(3):
            await asyncio.sleep(0)
        match method:
            case "leases.create":
                if request.id in self.there:
                    raise AlreadyExists("there")
                self.made += 1
                self.there.add(request.id)
            case "leases.delete":
                if request.id not in self.there:
                    raise NotFound("gone")
                self.there.remove(request.id)
            case "leases.get":
                if request.id not in self.there:
                    raise NotFound("gone")
        return Lease(id=request.id)

    def spawn(self, work: Awaitable[None]) -> asyncio.Future[None]:
        return asyncio.ensure_future(work)


def call(key: str = "", *, lease: str = "") -> Call:
    return Call(Routed(id=1, method="transfer.export", namespace="ci", key=key, lease=lease))


async def use(known: Leases, request: Call, *, turns: int) -> None:
    async with leased(cast("Worker", known), request) as lease:
        for _ in range(turns):
            assert lease.id in known.there
            await asyncio.sleep(0)


@pytest.mark.parametrize("key", ["", "k"])
def test_a_lease_is_there_for_the_time_and_gone_afterwards(key: str) -> None:
    known = Leases()
    asyncio.run(use(known, call(key), turns=5))
    assert (known.made, known.there) == (1, set())


@pytest.mark.parametrize("begun_after", range(16))
def test_a_request_that_is_there_twice_has_its_lease_until_the_last_copy_ends(begun_after: int) -> None:
    known = Leases()

    async def both() -> None:
        first = asyncio.ensure_future(use(known, call("k"), turns=5))
        for _ in range(begun_after):
            await asyncio.sleep(0)
        await asyncio.gather(first, use(known, call("k"), turns=9))

    asyncio.run(both())
    assert known.there == set()


@pytest.mark.parametrize("cancelled_after", range(1, 16))
def test_a_copy_that_is_cancelled_takes_no_lease_from_the_other(cancelled_after: int) -> None:
    known = Leases()

    async def both() -> None:
        first = asyncio.ensure_future(use(known, call("k"), turns=50))
        second = asyncio.ensure_future(use(known, call("k"), turns=20))
        for _ in range(cancelled_after):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await second

    asyncio.run(both())
    assert known.there == set()


@pytest.mark.parametrize("cancelled_after", range(1, 12))
def test_a_request_that_is_cancelled_leaves_no_lease(cancelled_after: int) -> None:
    known = Leases()

    async def one() -> None:
        only = asyncio.ensure_future(use(known, call("k"), turns=5))
        for _ in range(cancelled_after):
            await asyncio.sleep(0)
        only.cancel()
        await asyncio.gather(only, return_exceptions=True)
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(one())
    assert known.there == set()


def test_requests_without_a_key_have_leases_of_their_own() -> None:
    known = Leases()

    async def both() -> None:
        await asyncio.gather(use(known, call(), turns=3), use(known, call(), turns=3))

    asyncio.run(both())
    assert known.made == 2


def test_what_an_earlier_incarnation_left_is_taken_up_and_removed() -> None:
    known = Leases()

    async def again() -> None:
        async with leased(cast("Worker", known), call("k")) as lease:
            left = lease.id
        known.there.add(left)
        await use(known, call("k"), turns=3)

    asyncio.run(again())
    assert known.there == set()


def test_the_callers_own_lease_is_used_and_stays() -> None:
    known = Leases()
    known.there.add("mine")
    asyncio.run(use(known, call("k", lease="mine"), turns=3))
    assert (known.made, known.there) == (0, {"mine"})
    with pytest.raises(NotFound):
        asyncio.run(use(known, call("k", lease="no"), turns=3))
