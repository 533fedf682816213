"""Subscribers of the metadata worker's events, in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from tests.support.metadata import Services
from wharfie.types import events
from wharfie.types.events import Envelope

DEADLINE_S = 5.0


def publish(services: Services, topic: str = "/t", namespace: str = "ci", **event: Any) -> int:
    request = events.Publish(topic=topic, event=event)
    return services.call("events.publish", request, events.Published, namespace=namespace).seq


class Subscriber:
    """A subscription whose items are taken one by one."""

    def __init__(self, services: Services, after_seq: int = -1, *filters: str) -> None:
        self._items: AsyncIterator[bytes] = services.stream(
            "events.subscribe", events.Subscribe(after_seq=after_seq, filters=[*filters])
        )

    async def next(self) -> Envelope:
        async with asyncio.timeout(DEADLINE_S):
            return msgspec.msgpack.decode(await anext(self._items), type=Envelope)

    async def take(self, count: int) -> list[int]:
        return [(await self.next()).seq for _ in range(count)]

    async def is_silent(self) -> bool:
        """Whether nothing comes although the loop turned; the subscription goes on."""
        pending = asyncio.ensure_future(anext(self._items))
        for _ in range(10):
            await asyncio.sleep(0)
        if pending.done():
            return False
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        return True

    async def close(self) -> None:
        await self._items.aclose()  # type: ignore[attr-defined]


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]
