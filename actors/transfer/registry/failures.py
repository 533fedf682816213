"""What a registry refuses, as an error of ours: the host, the status, the registry's own words and the remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from actors.transfer.registry.redaction import shown_text
from wharfie import errors

BODY_BYTES_MAX = 64 * 1024
_DETAILS_MAX = 3


class Refusal(NamedTuple):
    """What was asked and what came back.

    Attributes:
        host: who was asked, with the port that its URL has.
        what: the object, `manifest 'latest' of 'library/busybox'`.
        status: of HTTP.
        body: the first 64 KiB of the answer.
        retry_after_s: what the host asked for, None when it asked for nothing.
        user: whom we said to be, empty when nobody.
    """

    host: str
    what: str
    status: int
    body: bytes = b""
    retry_after_s: float | None = None
    user: str = ""


class _Said(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Said] = []
    details: str = ""
    """Token servers have these two shapes as well."""
    error: str = ""
    error_description: str = ""
    message: str = ""


def failure(refusal: Refusal) -> errors.WharfieError:
    """The error for an answer that is none of those expected."""
    said, codes = _words(refusal.body)
    where = f"registry '{refusal.host}'"
    answered = f"{refusal.status}" + (f", {said}" if said else "")
    kind, sentence, reason, retryable = _judge(refusal, codes)
    details: dict[str, Any] = {
        "reason": reason,
        "host": refusal.host,
        "status": refusal.status,
        "codes": codes,
    }
    if retryable and refusal.retry_after_s is not None:
        details["retry_after_s"] = refusal.retry_after_s
    message = sentence.format(where=where, what=refusal.what, answered=answered, host=refusal.host, user=refusal.user)
    return kind(message, details=details, retryable=retryable)


def _judge(refusal: Refusal, codes: list[str]) -> tuple[type[errors.WharfieError], str, str, bool]:
    status = refusal.status
    if status == 401 and refusal.user:
        text = "{where} does not accept {user} for {what} ({answered}); log in again with 'wharfie login {host}'"
        return errors.PermissionDenied, text, "registry_unauthorized", False
    if status == 401:
        text = "{where} asks who you are for {what} ({answered}); log in with 'wharfie login {host}'"
        return errors.PermissionDenied, text, "registry_unauthorized", False
    if status == 403:
        text = "{where} denies {what} ({answered}); log in as somebody who may, or ask for the right"
        return errors.PermissionDenied, text, "registry_denied", False
    if status in {404, 410}:
        return errors.NotFound, "{what} not found in {where} ({answered})", "registry_not_found", False
    if status == 429 or "TOOMANYREQUESTS" in codes:
        text = "{where} allows no more requests for now, {what} ({answered}); wait, or log in for a higher limit"
        return errors.ResourceExhausted, text, "registry_rate_limit", True
    if status == 400 and b"HTTP request to an HTTPS server" in refusal.body:
        text = (
            '{where} speaks TLS and was asked in plain http for {what}; write server = "https://{host}" in the '
            "hosts.toml of '{host}'"
        )
        return errors.FailedPrecondition, text, "registry_scheme", False
    if status == 405 or "UNSUPPORTED" in codes:
        return (
            errors.Unimplemented,
            "{where} does not offer this for {what} ({answered})",
            "registry_unsupported",
            False,
        )
    if status == 413:
        return errors.ResourceExhausted, "{where} finds {what} too large ({answered})", "registry_too_large", False
    if status == 416:
        return errors.OutOfRange, "{where} does not have this part of {what} ({answered})", "registry_range", False
    if status >= 500 or status == 408:
        text = "{where} failed with {what} ({answered}); try again later"
        return errors.Unavailable, text, "registry_failed", True
    if 300 <= status < 400:
        text = "{where} sends elsewhere for {what}, but not where to ({answered})"
        return errors.FailedPrecondition, text, "registry_redirect", False
    if status < 300:
        text = "{where} answered {what} as nobody expects of a registry ({answered}); is it one?"
        return errors.FailedPrecondition, text, "registry_protocol", False
    return errors.InvalidArgument, "{where} refuses {what} ({answered})", "registry_refused", False


def _words(body: bytes) -> tuple[str, list[str]]:
    """What the registry says in its body, and the codes in it."""
    try:
        found = msgspec.json.decode(body, type=_Errors)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _plain(body), []
    if found.errors:
        said = found.errors[:_DETAILS_MAX]
        return "; ".join(_joined((entry.code.lower(), entry.message)) for entry in said), [
            shown_text(entry.code).upper() for entry in said
        ]
    return _joined((found.error, found.error_description or found.message or found.details)), []


def _plain(body: bytes) -> str:
    text = body.decode(errors="replace")
    # A page for a browser tells nothing.
    return "" if text.lstrip()[:1] in {"<", ""} else shown_text(text)


def _joined(parts: Iterable[str]) -> str:
    return ": ".join(shown_text(part) for part in parts if part)
