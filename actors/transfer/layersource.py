"""Where an unpacking reads a layer: in a file that has all of it, or in one that it is still arriving in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from actors.transfer.arrival import Arrival, Following
from actors.transfer.plan import Layer
from wharfie.errors import Aborted

T = TypeVar("T")

Opened = tuple[int, int, int]
"""A descriptor (the taker closes it), an offset in it, and a length."""

REPLACED = "layer_replaced"
"""`details["reason"]` when the bytes that were read turned out to be wrong and are fetched anew: begin anew, too."""


class LayerSource(NamedTuple):
    """An open layer: `length` bytes at `offset` of `fd`; with a `growth_fd` it counts those that are there."""

    fd: int
    offset: int
    length: int
    growth_fd: int = -1
    arrival: Arrival | None = None
    following: Following | None = None

    async def unless_replaced(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work on these bytes, which is cancelled when they are replaced. Its own failure then is no
        failure of the layer.

        Raises:
            Aborted: `REPLACED`.
        """
        if self.arrival is None or self.following is None:
            return await work
        task = asyncio.ensure_future(work)
        replaced = asyncio.ensure_future(self.following.replaced.wait())
        try:
            await asyncio.wait({task, replaced}, return_when=asyncio.FIRST_COMPLETED)
            failed = not task.done() or task.exception() is not None
            if failed and await self.arrival.was_replaced(self.following):
                raise _replaced()
            return await task
        finally:
            replaced.cancel()
            task.cancel()
            await asyncio.wait({task, replaced})

    async def reason_why(self, error: Exception) -> Exception:
        """What to raise instead of an error about the layer's content: the bytes may have been the wrong ones."""
        arrival, following = self.arrival, self.following
        if arrival is not None and following is not None and await arrival.was_replaced(following):
            return _replaced()
        return error


def _replaced() -> Aborted:
    return Aborted("the layer is fetched anew; begin anew", details={"reason": REPLACED}, retryable=True)


@contextlib.asynccontextmanager
async def open_source(
    layer: Layer, *, open_layer: Callable[[Layer], Opened], arrival: Arrival | None
) -> AsyncIterator[LayerSource]:
    """Open a layer; one that arrives is waited for until its first bytes are there. It is closed at the end."""
    if arrival is None:
        fd, offset, length = open_layer(layer)
        try:
            yield LayerSource(fd, offset, length)
        finally:
            os.close(fd)
        return
    async with arrival.follow() as following:
        yield LayerSource(following.fd, 0, layer.size, following.growth_fd, arrival, following)
