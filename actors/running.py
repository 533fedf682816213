"""What a worker is at: its handlers, the coroutines and streams at work, and the answers it has given lately."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from actors.call import handlers_of

REMEMBERED = 1024
"""Keyed answers kept for callers that ask again because a router died with the answer."""


class Handler(typing.NamedTuple):
    """A handler, the type of its request, and its shape: `plain`, `async` or `stream`."""

    function: Callable[..., Any]
    request: type[Any]
    shape: str


_requests: dict[Any, type[Any]] = {}


def request_of(function: Callable[..., Any]) -> type[Any]:
    """The type of a handler's request, from its annotation; resolved once."""
    plain = getattr(function, "__func__", function)
    found = _requests.get(plain)
    if found is None:
        found = _requests[plain] = typing.get_type_hints(plain)["request"]
    return found


def handlers(service: object) -> dict[str, Handler]:
    """Method name to handler, of every marked method of a service."""
    found: dict[str, Handler] = {}
    for method, function in handlers_of(service).items():
        if inspect.isasyncgenfunction(function):
            shape = "stream"
        elif inspect.iscoroutinefunction(function):
            shape = "async"
        else:
            shape = "plain"
        found[method] = Handler(function, request_of(function), shape)
    return found


class Running:
    """A coroutine or stream at work: who waits for it, and its credits."""

    __slots__ = ("credits", "routes", "task")

    def __init__(self, route: int, credits_: int) -> None:
        self.routes = [route]
        self.credits = asyncio.Semaphore(credits_)
        self.task: asyncio.Task[None] | None = None


class Answered:
    """The newest keyed answers: a copy of a request that comes late must not be done anew."""

    def __init__(self) -> None:
        self._frames: OrderedDict[str, list[Any]] = OrderedDict()

    def keep(self, key: str, frames: list[Any]) -> None:
        """Keep an answer; with an empty key nothing."""
        if key:
            self._frames[key] = frames
            if len(self._frames) > REMEMBERED:
                self._frames.popitem(last=False)

    def find(self, key: str) -> list[Any] | None:
        """The answer that was given for a key."""
        return self._frames.get(key)
