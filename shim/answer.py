"""The answer to one request, given now or when the runtime is done; and the memory of answers by idempotency key."""

from __future__ import annotations

from msgspec import Raw, Struct

from shim.connection import Connection
from shim.protocol import Failure, Reply, encode
from shim.runtime import RuntimeFailure
from shim.states import Refusal

_EMPTY = Raw(b"\x80")

REMEMBERED = 64
"""Keyed answers that are kept; a copy of a request comes within seconds, when a process between died."""


class Answer:
    """Where the outcome of a request goes: to all who asked for it. Answered exactly once."""

    __slots__ = ("_body", "_code", "_message", "_reason", "_waiting", "is_given")

    def __init__(self, request_id: int, connection: Connection) -> None:
        self._waiting = [(request_id, connection)]
        self._body = _EMPTY
        self._code = ""
        self._message = ""
        self._reason = ""
        self.is_given = False
        """Whether it has been answered."""

    def repeat(self, request_id: int, connection: Connection) -> None:
        """Tell a copy of the request, too: now if there is an answer, else when there is."""
        if self.is_given:
            self._send(request_id, connection)
        else:
            self._waiting.append((request_id, connection))

    def ok(self, body: Struct | None = None) -> None:
        """It is done."""
        if body is not None:
            self._body = Raw(encode(body))
        self._give()

    def fail(self, code: str, message: str, reason: str = "") -> None:
        """It is refused or failed; `code` is one of `wharfie.errors`."""
        self._code = code
        self._message = message
        self._reason = reason
        self._give()

    def refuse(self, what: str, refusal: Refusal) -> None:
        """The state of `what` forbids it."""
        self.fail(refusal.code, f"{what} {refusal.reason}")

    def runtime_failed(self, what: str, failure: RuntimeFailure) -> None:
        """The OCI runtime could not do `what`."""
        self.fail(failure.code, f"{what}: {failure.message}", failure.reason)

    def _give(self) -> None:
        self.is_given = True
        for request_id, connection in self._waiting:
            self._send(request_id, connection)
        self._waiting.clear()

    def _send(self, request_id: int, connection: Connection) -> None:
        if not self._code:
            connection.send(encode(Reply(id=request_id, body=self._body)))
            return
        details = {"reason": self._reason} if self._reason else {}
        connection.send(encode(Failure(id=request_id, code=self._code, message=self._message, details=details)))


def remember(answers: dict[str, Answer], key: str, answer: Answer) -> None:
    """Keep an answer for copies of its request; the oldest given one goes when there are too many."""
    answers[key] = answer
    if len(answers) > REMEMBERED:
        for old, given in answers.items():
            if given.is_given:
                del answers[old]
                return
