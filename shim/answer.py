"""The answer to one request, given now or when the runtime is done; and the memory of answers by idempotency key."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shim.protocol import Failure, Reply, encode
from shim.runtime import RuntimeFailure
from shim.states import Refusal

_EMPTY = msgspec.Raw(b"\x80")

REMEMBERED = 64
"""Keyed answers that are kept; a copy of a request comes within seconds, when a process between died."""

Outcome = Callable[[int], "Reply | Failure"]
Deliver = Callable[[bytes], None]


class Answer:
    """Where the outcome of a request goes: to all who asked for it. Answered exactly once."""

    __slots__ = ("_outcome", "_waiting")

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._waiting: list[tuple[int, Deliver]] = []

    @property
    def is_given(self) -> bool:
        """Whether it has been answered."""
        return self._outcome is not None

    def wait(self, request_id: int, deliver: Deliver) -> None:
        """Have the outcome delivered under this request's id: now if there is one, else when there is."""
        if self._outcome is None:
            self._waiting.append((request_id, deliver))
        else:
            deliver(encode(self._outcome(request_id)))

    def ok(self, body: msgspec.Struct | None = None) -> None:
        """It is done."""
        raw = _EMPTY if body is None else msgspec.Raw(encode(body))
        self._give(lambda request_id: Reply(id=request_id, body=raw))

    def fail(self, code: str, message: str, reason: str = "") -> None:
        """It is refused or failed; `code` is one of `wharfie.errors`."""
        details = {"reason": reason} if reason else {}
        self._give(lambda request_id: Failure(id=request_id, code=code, message=message, details=details))

    def refuse(self, what: str, refusal: Refusal) -> None:
        """The state of `what` forbids it."""
        self.fail(refusal.code, f"{what} {refusal.reason}")

    def runtime_failed(self, what: str, failure: RuntimeFailure) -> None:
        """The OCI runtime could not do `what`."""
        self.fail(failure.code, f"{what}: {failure.message}", failure.reason)

    def _give(self, outcome: Outcome) -> None:
        self._outcome = outcome
        waiting, self._waiting = self._waiting, []
        for request_id, deliver in waiting:
            deliver(encode(outcome(request_id)))


class Answers:
    """Keyed answers, the newest ones."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[str, Answer] = {}

    def find(self, key: str) -> Answer | None:
        """The answer that an earlier copy of this request has or will get."""
        return self._by_key.get(key)

    def remember(self, key: str, answer: Answer) -> None:
        """Keep an answer for copies of its request; the oldest given one goes when there are too many."""
        self._by_key[key] = answer
        if len(self._by_key) > REMEMBERED:
            for old, given in self._by_key.items():
                if given.is_given:
                    del self._by_key[old]
                    return
