"""Work that several requests follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from actors.call import Call, Result
from actors.transfer.operations import Operations, Report
from wharfie.errors import NotFound
from wharfie.protocol import Routed
from wharfie.types.base import Empty
from wharfie.types.transfer import Progress


def call(key: str = "", namespace: str = "ci") -> Call:
    return Call(Routed(id=1, method="transfer.import", namespace=namespace, key=key))


class Work:
    """Work that a test finishes or fails by hand."""

    def __init__(self) -> None:
        self.begun = 0
        self.has_begun = asyncio.Event()
        self.ended = 0
        self.report: Report | None = None
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, report: Report) -> msgspec.Struct:
        self.begun += 1
        self.has_begun.set()
        self.report = report
        try:
            await self.go_on.wait()
            if self.error is not None:
                raise self.error
            return Empty()
        finally:
            self.ended += 1

    def tell(self, name: str, done: int) -> None:
        assert self.report is not None
        self.report(Progress(event="blob", name=name, done=done))


async def drain(items: AsyncIterator[Progress | Result]) -> list[Progress | Result]:
    return [item async for item in items]


async def begun(work: Work) -> None:
    await work.has_begun.wait()


def test_progress_comes_before_the_result() -> None:
    async def scenario() -> None:
        work = Work()
        following = asyncio.create_task(drain(Operations().follow(call(), work)))
        await begun(work)
        work.tell("a", 1)
        work.go_on.set()
        assert await following == [Progress(event="blob", name="a", done=1), Result(Empty())]

    asyncio.run(scenario())


def test_a_slow_reader_gets_the_latest_of_each_and_keeps_nothing_else() -> None:
    async def scenario() -> None:
        work = Work()
        items = Operations().follow(call(), work)
        first = asyncio.ensure_future(anext(items))
        await begun(work)
        work.tell("a", 1)
        await first
        for done in range(2, 10_000):
            work.tell("a", done)
            work.tell("b", done)
        work.go_on.set()
        rest = await drain(items)
        assert [item.done for item in rest if isinstance(item, Progress)] == [9_999, 9_999]

    asyncio.run(scenario())


def test_a_second_copy_of_a_keyed_request_joins_the_first() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        both = [asyncio.create_task(drain(operations.follow(call("k"), work))) for _ in range(2)]
        await begun(work)
        work.go_on.set()
        assert await asyncio.gather(*both) == [[Result(Empty())], [Result(Empty())]]
        assert work.begun == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("other", [call("other"), call("k", "elsewhere")])
def test_requests_that_are_not_the_same_do_not_join(other: Call) -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        work.go_on.set()
        await asyncio.gather(*(drain(operations.follow(one, work)) for one in (call("k"), other)))
        assert work.begun == 2

    asyncio.run(scenario())


def test_work_that_one_of_two_leaves_goes_on_and_is_cancelled_when_both_have() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        both = [asyncio.create_task(drain(operations.follow(call("k"), work))) for _ in range(2)]
        await begun(work)
        await asyncio.sleep(0)
        both[0].cancel()
        await asyncio.wait([both[0]])
        assert work.ended == 0
        both[1].cancel()
        await asyncio.wait([both[1]])
        assert work.ended == 1

    asyncio.run(scenario())


def test_a_failure_reaches_everybody_and_the_next_request_begins_anew() -> None:
    async def scenario() -> None:
        operations, work = Operations(), Work()
        work.error = NotFound("no file")
        work.go_on.set()
        both = [asyncio.create_task(drain(operations.follow(call("k"), work))) for _ in range(2)]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert all(isinstance(outcome, NotFound) for outcome in outcomes)
        work.error = None
        assert await drain(operations.follow(call("k"), work)) == [Result(Empty())]

    asyncio.run(scenario())
