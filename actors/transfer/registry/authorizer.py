"""Who we are at each host: what it asked for, with which credential, and the tokens we have.

A credential belongs to the host it was given for; a mirror gets its own or none. Tokens are kept by what they allow, so
that all layers of an image share one; threads that need the same token at once ask for it once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from urllib3 import HTTPHeaderDict

from actors.transfer.registry.challenge import Challenge, choose, parse_challenges
from actors.transfer.registry.host import Host
from actors.transfer.registry.tokens import Token, TokenServer, ask_for_token, basic, user_of
from actors.transfer.registry.transport import Transport
from wharfie.types.registry import Credential


class Authorizer:
    """All of a client's authorization; thread-safe.

    Args:
        credentials: by host as it stands in a reference.
        transport: to reach token servers.
        user_agent: how we call ourselves.
    """

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        *,
        transport: Transport,
        user_agent: str,
    ) -> None:
        self._credentials = dict(credentials)
        self._transport = transport
        self._user_agent = user_agent
        self._lock = threading.Lock()
        self._challenges: dict[str, Challenge] = {}
        self._tokens: dict[tuple[str, TokenServer, tuple[str, ...]], Token] = {}
        self._asking: dict[tuple[str, TokenServer, tuple[str, ...]], threading.Lock] = {}

    def credential(self, host: Host) -> Credential:
        """Who to be at a host; nobody when nothing was given for it."""
        found = (self._credentials.get(name) for name in host.names)
        return next((credential for credential in found if credential is not None), Credential())

    def user(self, host: Host) -> str:
        """Who we are at a host, for sentences; empty is nobody."""
        return user_of(self.credential(host))

    def header(self, host: Host, scopes: tuple[str, ...]) -> str:
        """The value of `Authorization`; empty as long as the host has asked for nothing.

        Raises:
            WharfieError: as `ask_for_token` has them, at the first failure: who asks for a header has the patience.
        """
        with self._lock:
            challenge = self._challenges.get(host.origin)
        if challenge is None:
            return ""
        credential = self.credential(host)
        if credential.bearer:
            return f"Bearer {credential.bearer}"
        if challenge.scheme == "basic":
            return basic(credential) if credential.password else ""
        return f"Bearer {self._token(host, challenge, merged(scopes)).value}"

    def challenged(self, host: Host, headers: HTTPHeaderDict, *, sent: str) -> bool:
        """Learn from a 401; returns whether another attempt makes sense.

        Args:
            host: that answered so.
            headers: of its answer.
            sent: the `Authorization` that was not enough, empty when there was none.
        """
        found = choose(parse_challenges(headers.getlist("WWW-Authenticate")))
        if found is None:
            return False
        credential = self.credential(host)
        with self._lock:
            known = self._challenges.get(host.origin)
            self._challenges[host.origin] = found
            # Expired early, revoked, or of another server than the one named now.
            stale = [key for key, token in self._tokens.items() if sent == f"Bearer {token.value}"]
            for key in stale:
                del self._tokens[key]
        if sent and (found.scheme == "basic" or credential.bearer):
            return known != found
        return found.scheme == "bearer" or bool(credential.password or credential.bearer)

    def refresh_token(self, host: Host) -> str:
        """Ask the host's token server for a token that outlives the password; empty when it has none to give."""
        with self._lock:
            challenge = self._challenges.get(host.origin)
        if challenge is None or challenge.scheme != "bearer":
            return ""
        return self._ask(host, _server(challenge), (), offline=True).refresh_token

    def _token(self, host: Host, challenge: Challenge, scopes: tuple[str, ...]) -> Token:
        # A registry that is asked without a scope (`/v2/`) may name one itself.
        named = challenge.parameters.get("scope", "")
        scopes = scopes or tuple(named.split())
        server = _server(challenge)
        key = (host.origin, server, scopes)
        with self._lock:
            found = self._tokens.get(key)
            asking = self._asking.setdefault(key, threading.Lock())
        if found is not None and found.expires_at > time.monotonic():
            return found
        with asking:
            with self._lock:
                found = self._tokens.get(key)
            if found is None or found.expires_at <= time.monotonic():
                found = self._ask(host, server, scopes)
                with self._lock:
                    self._tokens[key] = found
            return found

    def _ask(self, host: Host, server: TokenServer, scopes: tuple[str, ...], *, offline: bool = False) -> Token:
        return ask_for_token(
            server,
            scopes,
            self.credential(host),
            host=host,
            transport=self._transport,
            user_agent=self._user_agent,
            offline=offline,
        )


def merged(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Scopes with one entry for each resource, its actions together; in an order that does not depend on theirs."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        resource, _, wanted = scope.rpartition(":")
        actions.setdefault(resource, set()).update(wanted.split(","))
    return tuple(f"{resource}:{','.join(sorted(actions[resource]))}" for resource in sorted(actions))


def _server(challenge: Challenge) -> TokenServer:
    return TokenServer(challenge.parameters["realm"], challenge.parameters.get("service", ""))
