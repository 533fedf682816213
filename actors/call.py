"""One request as a handler sees it, and how handlers are named.

A handler is a method of a service: ``@handles("containers.get") def get(self, call: Call, request: containers.Get)
-> containers.Container``. Three shapes are served:

- a plain function: answered in the same turn of the loop; what it may not do is block;
- a coroutine, or a plain function that returns one when it cannot answer at once: answered when it is done; a second
  copy of the same keyed request joins it;
- an async generator: a stream; each value is an item, sent when the client has granted a credit. The value may be a
`Reply` to
  carry payload frames; a last `Result` travels with the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from wharfie.errors import DeadlineExceeded
from wharfie.protocol import Routed

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "_wharfie_method"


def handles(method: str) -> Callable[[F], F]:
    """Mark a service's method as the handler of a method of the wire."""

    def mark(function: F) -> F:
        setattr(function, _MARK, method)
        return function

    return mark


def method_of(function: object) -> str:
    """The wire's name of a marked function; empty for any other."""
    return str(getattr(function, _MARK, ""))


def handlers_of(service: object) -> dict[str, Callable[..., Any]]:
    """Method name to bound handler, of every marked method of a service."""
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(type(service)):
        method = getattr(getattr(type(service), name), _MARK, None)
        if method is not None:
            found[method] = getattr(service, name)
    return found


class Reply(NamedTuple):
    """A reply or item with payload frames."""

    body: msgspec.Struct
    payload: Sequence[bytes | memoryview] = ()


class Result(NamedTuple):
    """The last value of a stream: travels in the body of its end."""

    body: msgspec.Struct


class Pass(NamedTuple):
    """Instead of a reply: another worker goes on with this request and answers its caller.

    One trip less through the router than asking that worker and answering oneself. The request keeps its key, its
    deadline and its caller. Whoever has it when a worker dies is sent it again, so each of the handlers must be
    idempotent under the key by itself.

    Attributes:
        method: an internal one, of another worker.
        body: a struct of that method's request, or one that is encoded already.
    """

    method: str
    body: msgspec.Struct | bytes


class Call:
    """Who asked, for which namespace, until when.

    Attributes:
        namespace: valid when the method is namespaced, else maybe empty.
        key: idempotency key, or empty. `derive` makes keys for the calls made on its behalf.
        lease: what this call creates is held by it; empty is the namespace's default lease.
        attempt: 1; more when earlier incarnations of this worker died while they had it.
        payload: the raw frames after the body; buffers that live as long as this object.
    """

    __slots__ = (
        "attempt",
        "deadline_ns",
        "gid",
        "internal",
        "key",
        "lease",
        "method",
        "namespace",
        "payload",
        "pid",
        "route",
        "trace",
        "uid",
    )

    def __init__(self, header: Routed, payload: Sequence[bytes | memoryview] = ()) -> None:
        self.route = header.id
        self.method = header.method
        self.namespace = header.namespace
        self.key = header.key
        self.lease = header.lease
        self.deadline_ns = header.deadline_ns
        self.attempt = header.attempt
        self.uid = header.uid
        self.gid = header.gid
        self.pid = header.pid
        self.internal = header.internal
        self.trace = header.trace
        self.payload = payload

    def derive(self, step: str) -> str:
        """The key of a call made for this one: the same for the same step of the same request; empty without a key."""
        return f"{self.key}/{step}" if self.key else ""

    def remaining_s(self) -> float | None:
        """What is left of the caller's time; None when there is no limit.

        Raises:
            DeadlineExceeded: nothing is left.
        """
        if not self.deadline_ns:
            return None
        left_s = (self.deadline_ns - time.monotonic_ns()) / 1e9
        if left_s <= 0:
            raise DeadlineExceeded(f"the time for '{self.method}' is up")
        return left_s
