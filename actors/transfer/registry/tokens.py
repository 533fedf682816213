"""Tokens from token servers: how they are asked for, and how long they are good for.

Source: docker's token authentication specification (GET with basic authentication) and its OAuth2 variant (POST with a
password or a refresh token).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from actors.transfer.registry.answer import Answer
from actors.transfer.registry.failures import BODY_BYTES_MAX, Refusal, failure
from actors.transfer.registry.host import Host, is_loopback, origin, split_http_url
from actors.transfer.registry.policy import retry_after_s
from actors.transfer.registry.transport import Transport
from wharfie import errors
from wharfie.types.registry import Credential

CLIENT_ID = "wharfie"
SHORTEST_S = 60.0
"""A token is good for at least a minute, says the specification, whatever it claims itself."""

_EARLY_S = 5.0
_FALLBACKS = frozenset({400, 401, 404, 405})
_ANSWER_BYTES_MAX = 1 << 20


class Token(NamedTuple):
    """What opens the door.

    Attributes:
        value: for `Authorization: Bearer`.
        expires_at: on the monotonic clock, in seconds; a little before it really does.
        refresh_token: for further tokens, without the password; empty when none was given.
    """

    value: str
    expires_at: float
    refresh_token: str = ""

    def __repr__(self) -> str:
        return "Token(…)"


class TokenServer(NamedTuple):
    """Whom to ask: what a registry's challenge names."""

    realm: str
    service: str


class _Granted(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None


def ask_for_token(
    server: TokenServer,
    scopes: tuple[str, ...],
    credential: Credential,
    *,
    host: Host,
    transport: Transport,
    user_agent: str,
    offline: bool = False,
) -> Token:
    """A new token.

    With a credential by OAuth2 first and then, when the server does not know that, by GET; without one by GET.

    Args:
        server: of the challenge.
        scopes: what it has to allow; none only says who one is.
        credential: sent to that server and nobody else; empty is anonymous.
        host: the registry that named the server: its certificates hold for it too.
        transport: for the connection.
        user_agent: how we call ourselves.
        offline: ask for a refresh token.

    Raises:
        PermissionDenied: the server does not know us, or may not be told who we are.
        Unavailable: it is away or failed; `retryable`.
    """
    user = user_of(credential)
    secret = bool(credential.identity_token or credential.password)
    _check_realm(server, host, secret=secret)

    def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        own = origin(url) == host.origin
        response = transport.send(
            method,
            url,
            headers={"User-Agent": user_agent, "Accept": "application/json", **headers},
            body=body,
            tls=host.tls if own else host.tls.for_others(),
            dial_timeout_s=host.dial_timeout_s,
        )
        return Answer(response, url=url, host=urlsplit(server.realm).netloc)

    if secret:
        form = _form(server, scopes, credential, offline=offline)
        content_type = {"Content-Type": "application/x-www-form-urlencoded"}
        with send("POST", server.realm, content_type, urlencode(form).encode()) as answer:
            # A server that knows only GET answers a refresh token in the same way as a wrong one.
            if answer.status not in _FALLBACKS or credential.identity_token:
                return _token(answer, host, server, user=user)
            answer.some(BODY_BYTES_MAX)
    headers = {"Authorization": basic(credential)} if credential.password else {}
    with send("GET", _query(server, scopes, credential, offline=offline), headers, None) as answer:
        return _token(answer, host, server, user=user)


def user_of(credential: Credential) -> str:
    """Who a credential is, for sentences; empty is nobody."""
    if credential == Credential():
        return ""
    return f"user '{credential.username}'" if credential.username else "a token"


def basic(credential: Credential) -> str:
    """The value of `Authorization` for basic authentication."""
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _form(
    server: TokenServer, scopes: tuple[str, ...], credential: Credential, *, offline: bool
) -> list[tuple[str, str]]:
    form = [("client_id", CLIENT_ID), ("service", server.service)]
    if scopes:
        form.append(("scope", " ".join(scopes)))
    if credential.identity_token:
        form += [("grant_type", "refresh_token"), ("refresh_token", credential.identity_token)]
    else:
        form += [("grant_type", "password"), ("username", credential.username), ("password", credential.password)]
    if offline:
        form.append(("access_type", "offline"))
    return form


def _query(server: TokenServer, scopes: tuple[str, ...], credential: Credential, *, offline: bool) -> str:
    query = [("service", server.service)] if server.service else []
    query += [("scope", scope) for scope in scopes]
    if credential.username:
        query.append(("account", credential.username))
    if offline:
        query += [("offline_token", "true"), ("client_id", CLIENT_ID)]
    return server.realm + ("&" if "?" in server.realm else "?") + urlencode(query)


def _token(answer: Answer, host: Host, server: TokenServer, *, user: str) -> Token:
    body = answer.some(_ANSWER_BYTES_MAX)
    realm = urlsplit(server.realm).netloc
    if answer.status != 200:
        refusal = Refusal(
            host=host.authority,
            what=f"a token from '{realm}'",
            status=answer.status,
            body=body[:BODY_BYTES_MAX],
            retry_after_s=retry_after_s(answer.headers.get("Retry-After"), time.time()),
            user=user,
        )
        raise failure(refusal)
    try:
        granted = msgspec.json.decode(body, type=_Granted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        granted = _Granted()
    value = granted.token or granted.access_token or ""
    if not value or not value.isascii() or not value.isprintable():
        raise errors.FailedPrecondition(
            f"token server '{realm}' of registry '{host.authority}' answered without a token",
            details={"reason": "registry_protocol", "host": host.authority},
        )
    lasts = max(SHORTEST_S, granted.expires_in or 0.0)
    return Token(value, time.monotonic() + lasts - _EARLY_S, granted.refresh_token or "")


def _check_realm(server: TokenServer, host: Host, *, secret: bool) -> None:
    parts = split_http_url(server.realm)
    if parts is None or "@" in parts.netloc:
        raise errors.FailedPrecondition(
            f"registry '{host.authority}' names a token server that is no http URL",
            details={"reason": "registry_protocol", "host": host.authority},
        )
    downgrade = host.url.startswith("https:") and parts.scheme == "http" and not is_loopback(parts.netloc)
    if secret and downgrade:
        raise errors.PermissionDenied(
            f"registry '{host.authority}' wants the password sent to '{parts.netloc}' in plain http, which is not done",
            details={"reason": "registry_downgrade", "host": host.authority},
        )
