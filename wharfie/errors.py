"""The one small tree of errors, and how each crosses the wire.

::

    WharfieError(code, message, details, retryable, maybe_done)
    ├─ InvalidArgument      the request is wrong; details["field"] names the field
    ├─ NotFound             the object named does not exist
    ├─ AlreadyExists        the name is taken
    ├─ FailedPrecondition   the object is in a state that forbids this
    ├─ PermissionDenied     this peer may not do that
    ├─ ResourceExhausted    a limit or a disk is full
    ├─ OutOfRange           an offset beyond the end
    ├─ DataLoss             bytes differ from what was promised
    ├─ Unimplemented        nothing here does that
    ├─ Unavailable          a part is away; try again
    ├─ DeadlineExceeded     the caller's time was up
    ├─ Cancelled            the caller took it back
    ├─ Aborted              a conflict; begin anew
    ├─ Poisoned             the request was in flight in two crashes and is quarantined
    └─ Internal             a bug; please report it

Codes are containerd's errdefs in snake case. Nobody ever decides by a message's text: `code` and `details` are the
contract, `message` is for people.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Code(StrEnum):
    """What kind of error it is; stable on the wire."""

    INVALID_ARGUMENT = "invalid_argument"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    FAILED_PRECONDITION = "failed_precondition"
    PERMISSION_DENIED = "permission_denied"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    OUT_OF_RANGE = "out_of_range"
    DATA_LOSS = "data_loss"
    UNIMPLEMENTED = "unimplemented"
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    CANCELLED = "cancelled"
    ABORTED = "aborted"
    INTERNAL = "internal"


class WharfieError(Exception):
    """An error with a code that programs decide by and a sentence that people read.

    Args:
        message: lower case, no full stop, names the object, the field and the remedy.
        details: small msgpack values; a convention per code (`field`, `reason`, `poisoned`, …).
        retryable: the same request may succeed later, unchanged.
        maybe_done: the request may have taken effect although this error answers it.
    """

    code: ClassVar[Code] = Code.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retryable: bool = False,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details or {}
        self.retryable = retryable
        self.maybe_done = maybe_done

    def __str__(self) -> str:
        return self.message

    def to_wire(self) -> dict[str, Any]:
        """The body of an `error` message."""
        return {
            "code": str(self.code),
            "message": self.message,
            "details": self.details,
            "retryable": self.retryable,
            "maybe_done": self.maybe_done,
        }


class InvalidArgument(WharfieError):
    """The request is wrong and will be wrong again."""

    code = Code.INVALID_ARGUMENT


class NotFound(WharfieError):
    """The object named does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(WharfieError):
    """The name is taken."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(WharfieError):
    """The object is in a state that forbids this."""

    code = Code.FAILED_PRECONDITION


class PermissionDenied(WharfieError):
    """The peer may not do that."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(WharfieError):
    """A limit is reached or a disk is full."""

    code = Code.RESOURCE_EXHAUSTED


class OutOfRange(WharfieError):
    """An offset lies beyond the end."""

    code = Code.OUT_OF_RANGE


class DataLoss(WharfieError):
    """Bytes differ from what was promised."""

    code = Code.DATA_LOSS


class Unimplemented(WharfieError):
    """Nothing here does that."""

    code = Code.UNIMPLEMENTED


class Unavailable(WharfieError):
    """A part is away; try again."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(WharfieError):
    """The caller's time was up."""

    code = Code.DEADLINE_EXCEEDED


class Cancelled(WharfieError):
    """The caller took the request back."""

    code = Code.CANCELLED


class Aborted(WharfieError):
    """A conflict with another request; begin anew."""

    code = Code.ABORTED


class Internal(WharfieError):
    """A bug of ours; please report it."""

    code = Code.INTERNAL


class Poisoned(Internal):
    """The request was in flight when its worker crashed, twice; it is quarantined and not tried again."""


_BY_CODE: dict[str, type[WharfieError]] = {
    str(kind.code): kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        PermissionDenied,
        ResourceExhausted,
        OutOfRange,
        DataLoss,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Aborted,
        Internal,
    )
}


def error_class(code: str) -> type[WharfieError]:
    """The class of a code; a code of a newer daemon that this library does not know is `Internal`."""
    return _BY_CODE.get(code, Internal)


def from_wire(body: dict[str, Any]) -> WharfieError:
    """The error that `to_wire` described; tolerant of missing keys, since a peer may be older or newer."""
    details = body.get("details")
    details = dict(details) if isinstance(details, dict) else {}
    kind = Poisoned if details.get("poisoned") else error_class(str(body.get("code", "")))
    return kind(
        str(body.get("message", "unknown error")),
        details=details,
        retryable=bool(body.get("retryable")),
        maybe_done=bool(body.get("maybe_done")),
    )
