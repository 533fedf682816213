"""Sending one HTTP request over a pooled connection: TLS, proxies, timeouts; no retry, no redirect, no credentials."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping
from typing import IO
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3 import exceptions

from actors.transfer.registry.host import Tls
from actors.transfer.registry.policy import Policy
from actors.transfer.registry.proxies import Proxies
from actors.transfer.registry.redaction import shown_text, shown_url
from wharfie import errors

Body = bytes | IO[bytes] | None
Response = urllib3.BaseHTTPResponse

_BLOCK_BYTES = 1 << 20
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The other end has gone, without a word of TLS that refuses anything."""

# It names URLs, and a URL may have a signature in its query; what matters is in our errors.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)


class Transport:
    """Connections to all hosts, kept open between requests; thread-safe.

    Args:
        policy: timeouts and how many connections a host gets.
        proxies: who stands between.
    """

    def __init__(self, policy: Policy, proxies: Proxies) -> None:
        self._policy = policy
        self._proxies = proxies
        self._lock = threading.Lock()
        self._managers: dict[tuple[Tls | None, str], urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: Body = None,
        tls: Tls,
        dial_timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
    ) -> Response:
        """Send a request; returns when the answer's headers are there, its body unread.

        The two timeouts are the policy's when they are None.

        Raises:
            Unavailable: no connection, no answer in time, or it broke; `retryable`.
            FailedPrecondition: TLS cannot be agreed on: another attempt would end the same.
        """
        try:
            timeout = urllib3.Timeout(
                connect=dial_timeout_s or self._policy.connect_timeout_s,
                read=idle_timeout_s or self._policy.idle_timeout_s,
            )
            return self._manager(url, tls).urlopen(
                method,
                url,
                headers=dict(headers),
                body=body,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (exceptions.HTTPError, OSError, ValueError) as error:
            raise broken(error, url) from error

    def close(self) -> None:
        """Close what is idle; a connection in use ends with its request."""
        with self._lock:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            manager.clear()

    def _manager(self, url: str, tls: Tls) -> urllib3.PoolManager:
        # Connections without TLS are the same whatever the certificates.
        key = (tls if urlsplit(url).scheme == "https" else None, self._proxies.proxy_for(url))
        with self._lock:
            found = self._managers.get(key)
            if found is None:
                found = self._managers[key] = self._made(*key)
            return found

    def _made(self, tls: Tls | None, proxy: str) -> urllib3.PoolManager:
        context = ssl_context(tls) if tls is not None else None
        if tls is not None and tls.skip_verify:
            # Whoever wrote it into a file knows.
            urllib3.disable_warnings(exceptions.InsecureRequestWarning)
        size = self._policy.max_connections
        if not proxy:
            return urllib3.PoolManager(maxsize=size, blocksize=_BLOCK_BYTES, ssl_context=context)
        user = urlsplit(proxy)
        headers = None
        if user.username is not None:
            headers = urllib3.make_headers(proxy_basic_auth=_userinfo(user.username, user.password))
        bare = f"{user.scheme}://{user.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(
            bare, maxsize=size, blocksize=_BLOCK_BYTES, ssl_context=context, proxy_headers=headers
        )


def ssl_context(tls: Tls) -> ssl.SSLContext:
    """The system's authorities and those of `tls`.

    Raises:
        FailedPrecondition: a file is not there or holds no certificate; names it.
    """
    context = ssl.create_default_context()
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in tls.ca:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise _bad_file(path, "authority's certificate", error) from error
    for certificate, key in tls.client:
        try:
            # Without a password an encrypted key would ask on the terminal.
            context.load_cert_chain(certificate, key or None, password="")
        except (OSError, ssl.SSLError) as error:
            raise _bad_file(certificate, "client's certificate or its key", error) from error
    return context


def broken(error: Exception, url: str) -> errors.WharfieError:
    """The error for a connection that failed or broke."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    where = f"registry '{host}'"
    cause = _innermost(error)
    details = {"reason": "registry_unreachable", "host": host, "url": shown_url(url)}
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, _ENDED):
        details["reason"] = "registry_tls"
        return errors.FailedPrecondition(f"{where}: {_tls_words(cause)}", details=details)
    if isinstance(error, exceptions.NameResolutionError):
        text = f"{where} has no address: its name was not found; check the reference and the name servers"
        return errors.Unavailable(text, details=details, retryable=True)
    refused = isinstance(error, exceptions.NewConnectionError)
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)) and not refused:
        doing = "connect to" if isinstance(error, exceptions.ConnectTimeoutError) else "hear from"
        text = f"could not {doing} {where} in time; check the network, or raise the timeouts of [registry]"
        return errors.Unavailable(text, details={**details, "reason": "registry_timeout"}, retryable=True)
    if isinstance(error, exceptions.ProxyError):
        text = f"the proxy before {where} failed: {_words(cause)}; check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
        return errors.Unavailable(text, details={**details, "reason": "registry_proxy"}, retryable=True)
    if isinstance(error, exceptions.LocationParseError):
        return errors.InvalidArgument(f"URL '{shown_url(url)}' is malformed", details=details)
    return errors.Unavailable(
        f"{where} cannot be reached or broke off: {_words(cause)}", details=details, retryable=True
    )


def _bad_file(path: str, what: str, error: OSError) -> errors.FailedPrecondition:
    return errors.FailedPrecondition(
        f"{what} '{path}' cannot be used: {_words(error)}", details={"reason": "registry_files", "path": path}
    )


def _innermost(error: BaseException) -> BaseException:
    seen = error
    for _ in range(8):
        further = next((arg for arg in seen.args if isinstance(arg, BaseException)), None) or seen.__cause__
        further = further or getattr(seen, "original_error", None)
        if further is None or further is seen:
            break
        seen = further
    return seen


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {shown_text(error.verify_message)}; name the authority with 'ca' in the "
            "host's hosts.toml"
        )
    if error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return "it does not speak TLS; write its URL with http:// in the host's hosts.toml if that is meant"
    return f"TLS failed: {shown_text(error.reason or str(error))}; the host may want a client's certificate"


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return shown_text(error.strerror.lower())
    # urllib3 puts the request's path into its texts; what it says is in the last part.
    return shown_text(type(error).__name__ if "http" in str(error) else str(error).rpartition(": ")[2] or "no reason")


def _userinfo(username: str, password: str | None) -> str:
    return f"{unquote(username)}:{unquote(password or '')}"
