"""The door: what a message from outside must be before anything is done with it. Pure.

Whatever comes, the answer is a typed error or a valid header; nothing here can raise anything else, and nothing of
a body or payload is looked at (their owner validates them).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wharfie import protocol
from wharfie.errors import InvalidArgument, PermissionDenied, ResourceExhausted, Unimplemented, WharfieError
from wharfie.methods import METHODS, Method
from wharfie.protocol import Header

if TYPE_CHECKING:
    from config.settings import Settings

_NAMESPACE = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_TO_ROUTER = frozenset(("request", "credit", "cancel"))

KEY_MAX_CHARS = 256
LEASE_MAX_CHARS = 4096
CREDITS_MAX = 4096


class Limits(NamedTuple):
    """What a client may ask of us; each is answered with a typed error when it is passed."""

    message_bytes: int = protocol.MAX_MESSAGE_BYTES
    header_bytes: int = protocol.MAX_HEADER_BYTES
    depth: int = protocol.MAX_DEPTH
    per_client: int = 1024
    per_worker: int = 4096
    client_bytes: int = 256 * 1024 * 1024


class Refused(Exception):
    """The message is answered with `error`; `id` is 0 when not even that could be read."""

    def __init__(self, id_: int, error: WharfieError) -> None:
        super().__init__(str(error))
        self.id = id_
        self.error = error


def read_header(magic: bytes, header: bytes, *, frames: int, size_bytes: int, limits: Limits) -> Header:
    """The header of a message of `frames` frames and `size_bytes` in all.

    Raises:
        Refused: with the error to answer.
    """
    if magic != protocol.MAGIC:
        raise Refused(0, InvalidArgument(f"first frame is {magic[:8]!r}, this daemon speaks {protocol.MAGIC!r}"))
    if len(header) > limits.header_bytes:
        raise Refused(
            0,
            ResourceExhausted(
                f"header of {len(header)} bytes is larger than {limits.header_bytes}",
                details={"limit": "max_header_bytes", "max": limits.header_bytes},
            ),
        )
    try:
        decoded = protocol.decode_header(header)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Refused(0, InvalidArgument(f"header does not fit: {str(error)[:200]}")) from None
    id_ = decoded.id
    if id_ <= 0 or id_ >= 1 << 63:
        raise Refused(
            0, InvalidArgument("header field 'id' must be an integer from 1 to 2^63-1", details={"field": "id"})
        )
    if decoded.kind not in _TO_ROUTER:
        raise Refused(
            id_,
            InvalidArgument(
                f"header field 'kind' is '{decoded.kind[:32]}', must be request, credit or cancel",
                details={"field": "kind"},
            ),
        )
    if size_bytes > limits.message_bytes:
        raise Refused(
            id_,
            ResourceExhausted(
                f"message of {size_bytes} bytes is larger than {limits.message_bytes}; send it in parts",
                details={"limit": "max_message_bytes", "max": limits.message_bytes},
            ),
        )
    if decoded.kind == "request" and frames < 3:
        raise Refused(id_, InvalidArgument("a request has at least three frames: W1, header, body"))
    return decoded


def admit(header: Header, *, internal: bool) -> Method:
    """The rule of a request's method.

    Args:
        header: what `read_header` returned.
        internal: it comes from a worker.

    Raises:
        Refused: unknown or internal method, malformed namespace, deadline, key, lease or credits.
    """
    rule = METHODS.get(header.method)
    if rule is None:
        raise Refused(
            header.id, Unimplemented(f"method '{header.method[:64]}' is unknown", details={"field": "method"})
        )
    if rule.internal and not internal:
        raise Refused(header.id, PermissionDenied(f"method '{header.method}' is for the daemon's own workers"))
    if rule.namespaced or header.namespace:
        namespace = header.namespace
        if not namespace or len(namespace) > 76 or not _NAMESPACE.fullmatch(namespace):
            what = f"namespace '{namespace[:80]}' is malformed" if namespace else "namespace is missing"
            raise Refused(
                header.id,
                InvalidArgument(
                    f"{what}: header field 'namespace' takes 1 to 76 letters and digits, joined by one of . _ -",
                    details={"field": "namespace"},
                ),
            )
    if header.deadline_ms < 0:
        raise Refused(
            header.id, InvalidArgument("header field 'deadline_ms' is negative", details={"field": "deadline_ms"})
        )
    if len(header.key) > KEY_MAX_CHARS:
        raise Refused(
            header.id,
            InvalidArgument(f"header field 'key' is longer than {KEY_MAX_CHARS} characters", details={"field": "key"}),
        )
    if len(header.lease) > LEASE_MAX_CHARS:
        raise Refused(
            header.id,
            InvalidArgument(
                f"header field 'lease' is longer than {LEASE_MAX_CHARS} characters", details={"field": "lease"}
            ),
        )
    if not 0 <= header.credits <= CREDITS_MAX:
        raise Refused(
            header.id,
            InvalidArgument(f"header field 'credits' must be 0 to {CREDITS_MAX}", details={"field": "credits"}),
        )
    return rule


def limits_of(settings: Settings) -> Limits:
    """The limits of the configuration."""
    router = settings.router
    return Limits(
        message_bytes=router.max_message_bytes,
        header_bytes=router.max_header_bytes,
        depth=router.max_depth,
        per_client=router.max_outstanding_per_client,
        per_worker=router.max_outstanding_per_worker,
    )
