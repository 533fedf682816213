"""The scheduler beside the requests: who waits is answered, whatever becomes of a collection."""

from __future__ import annotations

import asyncio

import pytest

from actors.metadata.scheduler import Scheduler
from tests.support.garbage import World
from wharfie.errors import ResourceExhausted, WharfieError
from wharfie.types import gc, images
from wharfie.types.base import Empty


async def with_scheduler(scheduler: Scheduler, count: int = 1) -> list[gc.Collected | BaseException]:
    """What those who wait are answered while it runs."""
    task = asyncio.create_task(scheduler.run())
    try:
        async with asyncio.timeout(60):
            return await asyncio.gather(*(scheduler.collect() for _ in range(count)), return_exceptions=True)
    finally:
        task.cancel()


def test_several_who_wait_share_a_collection(world: World) -> None:
    world.blob("a")
    world.services.call("leases.delete", world.scratch, Empty)
    answers = asyncio.run(with_scheduler(world.services.garbage.scheduler, count=3))
    assert answers[0] == answers[1] == answers[2]
    assert isinstance(answers[0], gc.Collected)
    assert world.blobs() == set()


def test_a_failure_is_told_and_the_next_one_is_made(world: World) -> None:
    world.blob("a")
    world.services.call("leases.delete", world.scratch, Empty)
    scheduler = world.services.garbage.scheduler

    async def fail_then_work() -> None:
        world.store.connection.execute("ALTER TABLE refs RENAME TO away")
        (failed,) = await with_scheduler(scheduler)
        assert isinstance(failed, WharfieError)
        assert world.store.graph.barrier is None
        world.store.connection.execute("ALTER TABLE away RENAME TO refs")
        (collected,) = await with_scheduler(scheduler)
        assert isinstance(collected, gc.Collected)
        assert world.blobs() == set()

    asyncio.run(fail_then_work())


def test_a_delete_with_sync_that_could_not_be_stored_is_no_success(world: World) -> None:
    world.image("i", world.blob("a"))
    world.store.after_collection = world.services.garbage.scheduler.after

    async def delete() -> None:
        answer = world.handle("images.delete", images.Delete(name="i", sync=True))
        world.store._lost = ResourceExhausted("the disk is full")
        with pytest.raises(ResourceExhausted):
            world.store.commit()
        with pytest.raises(ResourceExhausted):
            await answer

    asyncio.run(delete())
    assert world.images() == {"i"}


@pytest.mark.parametrize("sync", [True, False])
def test_a_delete_with_sync_is_answered_when_its_garbage_is_gone(world: World, sync: bool) -> None:
    world.image("i", world.blob("a"))
    world.services.call("leases.delete", world.scratch, Empty)
    scheduler = world.services.garbage.scheduler
    world.store.after_collection = scheduler.after

    async def delete() -> None:
        answer = world.handle("images.delete", images.Delete(name="i", sync=sync))
        world.store.commit()
        assert asyncio.iscoroutine(answer) == sync
        if asyncio.iscoroutine(answer):
            task = asyncio.create_task(scheduler.run())
            async with asyncio.timeout(60):
                await answer
            task.cancel()

    asyncio.run(delete())
    assert world.blobs() == (set() if sync else {"a"})
