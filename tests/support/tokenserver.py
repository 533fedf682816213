"""A token server for `Registry(token=…)`: docker's token protocol, by GET and by OAuth2 POST, signed with openssl."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import TokenAuth

ISSUER, SERVICE = "wharfie-test-issuer", "wharfie-test-registry"


class TokenRequest(NamedTuple):
    """What a client asked for; empty where it said nothing."""

    method: str
    scopes: list[str]
    grant_type: str
    username: str
    secret: str
    offline: bool


class TokenServer:
    """Grants what `allows` says; enter it to use it.

    Args:
        directory: for its key.
        users: names and passwords; nobody has to log in when there are none.
        refresh_tokens: given out for the names of users, and taken in place of a password.
        post: whether it knows OAuth2; without, it answers 404 to a POST.
        expires_in_s: what it says of its tokens.
        tls: of a server.
    """

    def __init__(
        self,
        directory: Path,
        *,
        users: dict[str, str] | None = None,
        refresh_tokens: dict[str, str] | None = None,
        post: bool = True,
        expires_in_s: int = 300,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._key, self._certificate = directory / "token.key", directory / "token.crt"
        self.users = users or {}
        self.refresh_tokens = refresh_tokens or {}
        self.post = post
        self.expires_in_s = expires_in_s
        self.asked: list[TokenRequest] = []
        self.allows: Callable[[str, str], list[str]] = lambda _user, scope: scope.rpartition(":")[2].split(",")
        self.server = HttpServer(self._respond, tls=tls)
        self._make_key()

    @property
    def auth(self) -> TokenAuth:
        """For the registry that believes in this server."""
        return TokenAuth(f"{self.server.url}/token", SERVICE, ISSUER, self._certificate)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def _respond(self, exchange: Exchange) -> None:
        asked = _read(exchange)
        self.asked.append(asked)
        if asked.method == "POST" and not self.post:
            exchange.answer(404)
            return
        user = self._user(asked)
        if user is None:
            exchange.answer(401, b'{"details":"incorrect username or password"}')
            return
        answer: dict[str, Any] = {"token": self.token(user, asked.scopes), "expires_in": self.expires_in_s}
        if asked.offline and user in self.refresh_tokens:
            answer["refresh_token"] = self.refresh_tokens[user]
        exchange.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _user(self, asked: TokenRequest) -> str | None:
        """The name; empty for nobody; None when the password is wrong."""
        if asked.grant_type == "refresh_token":
            return next((name for name, token in self.refresh_tokens.items() if token == asked.secret), None)
        if not asked.username:
            return "" if not self.users else None
        return asked.username if self.users.get(asked.username) == asked.secret else None

    def token(self, user: str, scopes: list[str]) -> str:
        """A signed token that opens what `allows` says of these scopes."""
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name = rest.rpartition(":")[0]
            access.append({"type": kind, "name": name, "actions": self.allows(user, scope)})
        claims = {
            "iss": ISSUER, "sub": user, "aud": SERVICE, "iat": now, "nbf": now - 10, "exp": now + 600,
            "jti": os.urandom(6).hex(), "access": access,
        }  # fmt: skip
        certificate = ssl.PEM_cert_to_DER_cert(self._certificate.read_text())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self._key)]
        signature = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
        return (signed + b"." + _encoded(signature)).decode()

    def _make_key(self) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={ISSUER}", "-days", "2"]
        subprocess.run(
            [*command, "-keyout", str(self._key), "-out", str(self._certificate)], capture_output=True, check=True
        )


def _read(exchange: Exchange) -> TokenRequest:
    if exchange.command == "POST":
        form = parse_qs(exchange.body().decode())
        secret = _one(form, "refresh_token") or _one(form, "password")
        return TokenRequest(
            method="POST",
            scopes=_one(form, "scope").split(),
            grant_type=_one(form, "grant_type"),
            username=_one(form, "username"),
            secret=secret,
            offline=_one(form, "access_type") == "offline",
        )
    query = parse_qs(urlsplit(exchange.path).query)
    given = exchange.headers.get("Authorization", "").removeprefix("Basic ")
    username, _, password = base64.b64decode(given).decode().partition(":")
    return TokenRequest("GET", query.get("scope", []), "", username, password, _one(query, "offline_token") == "true")


def _one(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
