"""Turn-taking on a ref and on a digest."""

from __future__ import annotations

import asyncio
import gc

import pytest

from actors.content.locks import Digests, Slots
from wharfie.errors import Unavailable


def test_writes_in_a_row_are_let_in_and_a_second_writer_is_not() -> None:
    slot = Slots().of("ns", "ref")
    slot.admit(offset=0, length=10, repeated=False)
    slot.admit(offset=10, length=5, repeated=False)
    for offset in (0, 10, 16):
        with pytest.raises(Unavailable) as raised:
            slot.admit(offset=offset, length=1, repeated=False)
        assert raised.value.retryable
    slot.admit(offset=0, length=10, repeated=True)


def test_turns_are_taken_in_the_order_of_coming_and_free_the_slot() -> None:
    async def run() -> list[int]:
        slots = Slots()
        order: list[int] = []

        async def write(number: int) -> None:
            slot = slots.of("ns", "ref")
            async with slot.turn(admitted=True):
                await asyncio.sleep(0)
                order.append(number)

        slot = slots.of("ns", "ref")
        tasks = []
        for number in range(5):
            slot.admit(offset=number, length=1, repeated=False)
            tasks.append(asyncio.create_task(write(number)))
        assert slots.is_busy(("ns", "ref"))
        await asyncio.gather(*tasks)
        assert not slots.is_busy(("ns", "ref"))
        slot.admit(offset=99, length=1, repeated=False)
        del slot, tasks
        gc.collect()
        assert not slots.is_busy(("ns", "ref"))
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_one_digest_is_worked_on_by_one_at_a_time_and_two_by_two() -> None:
    async def run() -> int:
        digests = Digests()
        inside = 0
        most = 0

        async def work(digest: str) -> None:
            nonlocal inside, most
            async with digests.alone(digest):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(work("a"), work("a"), work("a"))
        assert most == 1
        await asyncio.gather(work("a"), work("b"))
        return most

    assert asyncio.run(run()) == 2
