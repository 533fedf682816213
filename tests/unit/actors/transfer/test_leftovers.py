"""Which snapshots belong to nobody any more, and how the first failure of several pieces of work is told."""

from __future__ import annotations

import asyncio

import pytest

from actors.transfer.leftovers import is_leftover
from actors.transfer.together import together, together_with
from wharfie.errors import DataLoss, NotFound
from wharfie.types.snapshots import Info, Kind


@pytest.mark.parametrize(
    ("name", "kind", "leftover"),
    [
        ("unpack-dead-1 sha256:a", Kind.ACTIVE, True),
        ("unpack-dead-1 sha256:a", Kind.VIEW, True),
        ("unpack-mine-1 sha256:a", Kind.ACTIVE, False),
        ("unpack-dead-1 sha256:a", Kind.COMMITTED, False),
        ("unpacked by a user", Kind.ACTIVE, False),
        ("container-1", Kind.ACTIVE, False),
        ("sha256:a", Kind.COMMITTED, False),
    ],
)
def test_only_what_a_dead_incarnation_was_making_is_left_over(name: str, kind: Kind, leftover: bool) -> None:
    assert is_leftover(Info(name=name, kind=kind), token="mine") is leftover


def test_the_first_failure_ends_the_others_and_is_the_failure_of_the_whole() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise NotFound("first")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def nested() -> None:
        await together(waits(), fails())

    async def scenario() -> None:
        with pytest.raises(NotFound, match="first"):
            await together(waits(), nested())

    asyncio.run(scenario())
    assert ended == ["waits", "waits"]


def test_a_result_comes_when_everything_has_ended() -> None:
    order: list[int] = []

    async def step(number: int) -> int:
        await asyncio.sleep(0)
        order.append(number)
        return number

    async def scenario() -> None:
        assert await together_with(step(1), [step(2), step(3)]) == 1
        assert sorted(order) == [1, 2, 3]

        async def broken() -> None:
            raise DataLoss("lost")

        with pytest.raises(DataLoss):
            await together_with(step(4), [broken()])

    asyncio.run(scenario())
