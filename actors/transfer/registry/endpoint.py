"""One host of a registry, asked until it answers: with authorization, after redirects, again after failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO
from urllib.parse import urlsplit

from actors.transfer.registry.answer import Answer
from actors.transfer.registry.authorizer import Authorizer
from actors.transfer.registry.failures import BODY_BYTES_MAX, Refusal, failure
from actors.transfer.registry.host import Host, origin, target_of
from actors.transfer.registry.policy import Policy, retry_after_s
from actors.transfer.registry.redaction import shown_url
from actors.transfer.registry.transport import Response, Transport
from wharfie import errors

HOPS_MAX = 10
SLOW_FACTOR = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question.

    Attributes:
        method: of HTTP.
        url: absolute.
        what: the object for errors, `manifest 'latest' of 'library/busybox'`.
        scopes: what a token has to allow, `repository:library/busybox:pull`.
        expect: statuses that are answers; any other is an error.
        headers: besides the client's own.
        body: called for each attempt, since a stream is read but once; None is no body.
        attempts: how often at most; 0 is the policy's.
        slow: the host may think about it for long.
    """

    method: str
    url: str
    what: str
    scopes: tuple[str, ...] = ()
    expect: frozenset[int] = frozenset({200})
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], bytes | IO[bytes]] | None = None
    attempts: int = 0
    slow: bool = False


class Endpoint:
    """A host, for one client; thread-safe.

    Args:
        host: where and how.
        transport: its connections.
        authorizer: who we are there.
        policy: attempts and waits.
        user_agent: how we call ourselves.
        closing: set when waits and further attempts are to end.
    """

    def __init__(
        self,
        host: Host,
        *,
        transport: Transport,
        authorizer: Authorizer,
        policy: Policy,
        user_agent: str,
        closing: threading.Event,
    ) -> None:
        self.host = host
        self._transport = transport
        self._authorizer = authorizer
        self._policy = policy
        self._user_agent = user_agent
        self._closing = closing

    def call(self, ask: Ask) -> Answer:
        """Ask, as often as it takes and is allowed.

        Raises:
            WharfieError: as `failure` and `Transport.send` have them, from the last attempt, with their number in
                `details["attempts"]`; Cancelled when the client was closed.
        """
        attempts = ask.attempts or self._policy.attempts
        attempt = 1
        while True:
            try:
                return self._expected(ask)
            except errors.WharfieError as error:
                if not error.retryable or attempt >= attempts:
                    error.details["attempts"] = attempt
                    raise
                self.pause(attempt, error)
            attempt += 1

    def pause(self, attempt: int, error: errors.WharfieError) -> None:
        """Wait before the attempt after the `attempt`th, as the policy says or the host asked.

        Raises:
            WharfieError: `error`, when the host asks for more patience than we have.
            Cancelled: the client was closed meanwhile.
        """
        self._closing.wait(self._policy.pause_s(attempt, error))
        self._check_open()

    def _expected(self, ask: Ask) -> Answer:
        self._check_open()
        answer = self._authorized(ask)
        if answer.status in ask.expect:
            return answer
        try:
            body = answer.some(BODY_BYTES_MAX) if ask.method != "HEAD" else b""
        except errors.Unavailable:
            body = b""
        answer.close()
        refusal = Refusal(
            host=self.host.authority,
            what=ask.what,
            status=answer.status,
            body=body,
            retry_after_s=retry_after_s(answer.headers.get("Retry-After"), time.time()),
            user=self._authorizer.user(self.host),
        )
        if origin(answer.url) != self.host.origin:
            refusal = refusal._replace(what=f"{ask.what}, sent on to '{urlsplit(answer.url).hostname}'")
        raise failure(refusal)

    def _authorized(self, ask: Ask) -> Answer:
        """Send with what is known of the host's authorization; once more when it says that this is not enough."""
        for last in (False, True):
            token = self._authorizer.header(self.host, ask.scopes)
            answer = self._redirected(ask, token)
            if answer.status != 401 or last or origin(answer.url) != self.host.origin:
                break
            if not self._authorizer.challenged(self.host, answer.headers, sent=token):
                break
            answer.close()
        return answer

    def _redirected(self, ask: Ask, token: str) -> Answer:
        url = ask.url
        for _ in range(HOPS_MAX + 1):
            answer = Answer(self._send(ask, url, token), url=url, host=self.host.authority)
            location = answer.headers.get("Location")
            follows = ask.method in {"GET", "HEAD"} or answer.status in {307, 308}
            if answer.status not in REDIRECTS or not location or not follows:
                return answer
            answer.close()
            url = target_of(url, location)
            if not url:
                raise errors.FailedPrecondition(
                    f"registry '{self.host.authority}' redirects to '{shown_url(location)}' for {ask.what}, "
                    "which is no http URL",
                    details={"reason": "registry_redirect", "host": self.host.authority},
                )
        raise errors.FailedPrecondition(
            f"registry '{self.host.authority}' redirects more than {HOPS_MAX} times for {ask.what}",
            details={"reason": "registry_redirect", "host": self.host.authority},
        )

    def _send(self, ask: Ask, url: str, token: str) -> Response:
        host = self.host
        at_home = origin(url) == host.origin
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **ask.headers}
        if at_home:
            # Neither token nor header nor certificate of this host is any other's business.
            headers.update(host.header)
            if token:
                headers["Authorization"] = token
        return self._transport.send(
            ask.method,
            url,
            headers=headers,
            body=ask.body() if ask.body is not None else None,
            tls=host.tls if at_home else host.tls.for_others(),
            dial_timeout_s=host.dial_timeout_s,
            idle_timeout_s=self._policy.idle_timeout_s * (SLOW_FACTOR if ask.slow else 1),
        )

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise errors.Cancelled(f"the client of registry '{self.host.authority}' was closed")
