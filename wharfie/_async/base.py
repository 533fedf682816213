"""What every service of a client shares: the channel, the namespace and the default time of a call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wharfie import errors, protocol
from wharfie._async.channel import Channel
from wharfie.session import Pending
from wharfie.types.base import Empty

if TYPE_CHECKING:
    from wharfie.types.transfer import Progress

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)

UNSET: Any = object()
"""The client's own default, where None means no limit."""


class Caller:
    """One channel seen from one namespace, with a default timeout; what its calls create is held by `lease`."""

    def __init__(self, channel: Channel, *, namespace: str, timeout_s: float | None, lease: str = "") -> None:
        self.channel = channel
        self.namespace = namespace
        self.lease = lease
        self.timeout_s = timeout_s

    def limit(self, timeout_s: float | None) -> float | None:
        """The caller's timeout, or ours when the caller did not say."""
        return self.timeout_s if timeout_s is UNSET else timeout_s

    async def call(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        timeout_s: float | None = UNSET,
        payload: Sequence[Any] = (),
        key: str = "",
    ) -> T:
        """Ask; the answer as its type."""
        body, _ = await self.channel.call(
            method,
            request,
            namespace=self.namespace,
            timeout_s=self.limit(timeout_s),
            payload=payload,
            key=key,
            lease=self.lease,
        )
        return decoded(body, reply, method)

    async def begin(self, method: str, request: msgspec.Struct, *, payload: Sequence[Any] = ()) -> Pending:
        """Ask without waiting; `finish` waits, `drop` takes it back. For calls that are sent one behind the other."""
        return await self.channel.begin(
            method,
            request,
            namespace=self.namespace,
            timeout_s=self.timeout_s,
            payload=payload,
            lease=self.lease,
        )

    async def finish(self, pending: Pending, reply: type[T]) -> T:
        """The answer to what was begun."""
        body, _ = await self.channel.finish(pending)
        return decoded(body, reply, pending.header.method)

    async def drop(self, pending: Pending) -> None:
        """Take back what was begun. Idempotent."""
        await self.channel.drop(pending)

    async def tell(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        timeout_s: float | None = UNSET,
        payload: Sequence[Any] = (),
        key: str = "",
    ) -> None:
        """Ask for something that has no result."""
        await self.call(method, request, Empty, timeout_s=timeout_s, payload=payload, key=key)

    async def stream(
        self,
        method: str,
        request: R,
        item: type[T],
        *,
        resume: Callable[[R, T, int], R] | None = None,
        on_result: Callable[[bytes], None] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncIterator[tuple[T, Any]]:
        """A stream's items, each with its payload (a buffer; empty without one).

        Args:
            method: of the wire.
            request: its first body.
            item: type of the items.
            resume: (request, last item, its payload's size) to the request that goes on behind it, when the worker
                died; without it the request is made again as it was.
            on_result: gets the body of the stream's end.
            timeout_s: for the whole stream; None is no limit.
        """
        pending = await self.channel.begin(
            method, request, namespace=self.namespace, timeout_s=timeout_s, lease=self.lease
        )
        try:
            while True:
                try:
                    taken = await self.channel.next_item(pending)
                except errors.Unavailable as error:
                    if not error.details.get("resume"):
                        raise
                    key = pending.header.key
                    await self.channel.drop(pending)
                    pending = await self.channel.begin(
                        method, request, namespace=self.namespace, timeout_s=timeout_s, key=key, lease=self.lease
                    )
                    continue
                if taken is None:
                    if on_result is not None:
                        on_result(pending.value)
                    return
                body, payload = taken
                value = decoded(body, item, method)
                data = payload[0] if payload else b""
                if resume is not None:
                    request = resume(request, value, len(data))
                yield value, data
        finally:
            await self.channel.drop(pending)

    async def follow(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        on_progress: Callable[[Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """Have work done that tells how far it is; its result. Made again as it was when the worker died.

        Args:
            method: of the wire; a stream of `Progress` with a result at its end.
            request: its body.
            reply: type of the result.
            on_progress: told what happens.
            timeout_s: for all of it; None is no limit.
        """
        # Not at the top: who runs a container need not wait for these types.
        from wharfie.types.transfer import Progress

        result: list[bytes] = []
        async for progress, _ in self.stream(method, request, Progress, on_result=result.append, timeout_s=timeout_s):
            if on_progress is not None:
                on_progress(progress)
        return decoded(result[0], reply, method)


def decoded(body: bytes, kind: type[T], method: str) -> T:
    """An answer's body as its type; an answer that does not fit is a bug of one of the two sides."""
    try:
        return protocol.decode(body, kind)
    except msgspec.MsgspecError as error:
        raise errors.Internal(f"the answer to '{method}' does not fit {kind.__name__}: {error}") from None


class Service:
    """The calls of one service."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
