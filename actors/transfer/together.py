"""Several pieces of work at once, of which the first failure ends the others and is the failure of the whole."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*work: Coroutine[Any, Any, object]) -> None:
    """Run all of it. Returns when everything has ended.

    Raises: the first exception; the rest has been cancelled and waited for then.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for piece in work:
                group.create_task(piece)
    except BaseExceptionGroup as failed:
        raise first(failed) from None


async def together_with(main: Coroutine[Any, Any, T], others: Iterable[Coroutine[Any, Any, object]]) -> T:
    """The same, with the result of one of them."""
    found: list[T] = []

    async def run() -> None:
        found.append(await main)

    await together(run(), *others)
    return found[0]


def first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is not itself a group."""
    inner = failed.exceptions[0]
    return first(inner) if isinstance(inner, BaseExceptionGroup) else inner
