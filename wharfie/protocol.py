"""The wire: frames, headers and limits (docs/protocol.md is its public description).

A message is ZeroMQ multipart ``[b"W1", header, body, payload…]``. Header and body are msgpack maps; payload frames
are raw bytes. This module only turns headers and bodies into bytes and back and refuses what is malformed; it opens
no socket.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from wharfie.errors import InvalidArgument

MAGIC = b"W1"
"""First frame of every message: the protocol and its major version."""

LARGE_BODY_BYTES = 256 * 1024

MAX_HEADER_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32

T = TypeVar("T")


class Kind(StrEnum):
    """What a message is. The first three go to the router, the rest come back."""

    REQUEST = "request"
    CREDIT = "credit"
    CANCEL = "cancel"
    HELLO = "hello"
    REPLY = "reply"
    ITEM = "item"
    END = "end"
    ERROR = "error"


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A header as a client sends or receives it.

    Attributes:
        id: chosen by the client, unique among its requests; every answer carries it.
        deadline_ms: what is left of the caller's time; 0 is no deadline.
        key: idempotency key of a mutating call: the same key is done once and answered alike.
        credits: in `request` and `credit`: how many more stream items the client will take.
        trace: W3C traceparent, carried and logged.
        lease: of the namespace; what the call creates is held by it. Unknown is `not_found`.
        epoch: in `hello`: names this incarnation of the router; a new one has forgotten what was pending.
    """

    id: int = 0
    kind: str = "request"
    method: str = ""
    namespace: str = ""
    deadline_ms: int = 0
    key: str = ""
    credits: int = 0
    trace: str = ""
    lease: str = ""
    epoch: str = ""


class Routed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The header between router and worker (internal; may change with the daemon).

    Attributes:
        id: the router's number for this request; the worker echoes it.
        deadline_ns: absolute, CLOCK_MONOTONIC, which all processes of a machine share; 0 is none.
        attempt: 1, and more when an earlier incarnation of the worker died with it.
        internal: it comes from another worker, not from a client.
    """

    id: int = 0
    kind: str = "request"
    method: str = ""
    namespace: str = ""
    deadline_ns: int = 0
    key: str = ""
    credits: int = 0
    trace: str = ""
    lease: str = ""
    uid: int = -1
    gid: int = -1
    pid: int = 0
    attempt: int = 1
    internal: bool = False


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an `error`; see `wharfie.errors`."""

    code: str
    message: str = ""
    details: dict[str, Any] = {}
    retryable: bool = False
    maybe_done: bool = False


encode = msgspec.msgpack.Encoder().encode
"""Any message, header or body to msgpack."""

decode_header = msgspec.msgpack.Decoder(Header).decode
decode_routed = msgspec.msgpack.Decoder(Routed).decode


_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    """The decoder of a type, made once."""
    found = _decoders.get(kind)
    if found is None:
        found = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return found


def decode(data: bytes | memoryview, kind: type[T]) -> T:
    """A body as its type.

    Raises:
        msgspec.MsgspecError: it does not fit.
    """
    if len(data) < LARGE_BODY_BYTES or not gc.isenabled():
        return decoder(kind).decode(data)
    # Thousands of new objects and no garbage among them: collecting meanwhile takes as long as decoding.
    gc.disable()
    try:
        return decoder(kind).decode(data)
    finally:
        gc.enable()


def decode_body(data: bytes | memoryview, kind: type[T], *, method: str) -> T:
    """A body as its type.

    Raises:
        InvalidArgument: not msgpack, nested too deep, or a field is missing or of the wrong type; the message names the
            method and the field.
    """
    try:
        value = decoder(kind).decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"request of '{method}' does not fit: {_sentence(error)}", details={"method": method}
        ) from None
    if len(data) > MAX_DEPTH and too_deep(value, MAX_DEPTH):
        raise InvalidArgument(
            f"request of '{method}' is nested deeper than {MAX_DEPTH} levels", details={"method": method}
        )
    return value


def _sentence(error: BaseException) -> str:
    text = str(error) or "not msgpack"
    return text[:1].lower() + text[1:]


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether maps, lists and structs nest deeper than `limit`; never recurses further than that."""
    items: Iterable[Any]
    if type(value) is dict:
        items = value.values()
    elif type(value) is list:
        items = value
    elif isinstance(value, msgspec.Struct):
        items = [getattr(value, name) for name in value.__struct_fields__]
    else:
        return False
    for item in items:
        kind = type(item)
        if kind is str or kind is int or kind is bool or kind is bytes or item is None:
            continue
        if limit <= 0 or too_deep(item, limit - 1):
            return True
    return False
