"""A proxy before a registry that answers badly when a test says so, and passes everything else on."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import urlsplit

from tests.support.httpserver import CHUNK_BYTES, Exchange, HttpServer, Seen

Fault = Callable[[Exchange, "FaultyProxy"], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer so, without asking the registry; `Retry_After="1"` is the header `Retry-After`."""

    def fault(exchange: Exchange, _proxy: FaultyProxy) -> None:
        for _ in exchange.body_chunks():
            pass
        exchange.answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})

    return fault


def reset(exchange: Exchange, _proxy: FaultyProxy) -> None:
    """Reset the connection before any answer."""
    exchange.hang_up(reset=True)


def hold(exchange: Exchange, _proxy: FaultyProxy) -> None:
    """Never answer."""
    exchange.hold()


def cut_after(count: int, *, reset: bool = False) -> Fault:
    """Pass on `count` bytes of the body, then hang up."""
    return _partly(count, lambda exchange: exchange.hang_up(reset=reset))


def stall_after(count: int) -> Fault:
    """Pass on `count` bytes of the body, then nothing more."""
    return _partly(count, Exchange.hold)


def swallow_after(count: int) -> Fault:
    """Take `count` bytes of an upload, pass none on, then hang up."""

    def fault(exchange: Exchange, _proxy: FaultyProxy) -> None:
        taken = 0
        for chunk in exchange.body_chunks():
            taken += len(chunk)
            if taken >= count:
                break
        exchange.hang_up(reset=True)

    return fault


def after(passed: Callable[[], None]) -> Fault:
    """Call something, then pass the request on as if nothing were."""

    def fault(exchange: Exchange, proxy: FaultyProxy) -> None:
        passed()
        proxy.forward(exchange)

    return fault


def cut_answer(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Pass the request on, but not its answer: the client does not learn that it succeeded."""
    proxy.forward(exchange, answered=lambda: exchange.hang_up(reset=True))


def damaged(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Pass the answer on with its first byte changed."""
    proxy.forward(exchange, lambda chunks: (_damage(chunk, first=not at) for at, chunk in enumerate(chunks)))


def without_ranges(exchange: Exchange, proxy: FaultyProxy) -> None:
    """Pass the request on without its Range."""
    del exchange.headers["Range"]
    proxy.forward(exchange)


def _damage(chunk: bytes, *, first: bool) -> bytes:
    return bytes([chunk[0] ^ 1]) + chunk[1:] if first else chunk


def _partly(count: int, end: Callable[[Exchange], None]) -> Fault:
    def fault(exchange: Exchange, proxy: FaultyProxy) -> None:
        def some(chunks: Iterator[bytes]) -> Iterator[bytes]:
            left = count
            for chunk in chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    break
            exchange.wfile.flush()
            end(exchange)

        proxy.forward(exchange, some)

    return fault


class _Rule:
    def __init__(self, method: str, part: str, fault: Fault, times: int) -> None:
        self.method, self.part, self.fault, self.left = method, part, fault, times

    def takes(self, seen: Seen) -> bool:
        return bool(self.left) and seen.method == self.method and self.part in seen.path


class FaultyProxy:
    """A reverse proxy on a port of its own; enter it to use it.

    Args:
        upstream: `http://127.0.0.1:5000`, the registry's `url`.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.server = HttpServer(self._respond)
        self.host, self.url = self.server.host, self.server.url
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    @property
    def requests(self) -> list[Seen]:
        return self.server.requests

    def seen(self, method: str, part: str = "") -> list[Seen]:
        """The requests of a method whose path has `part` in it."""
        return [seen for seen in self.requests if seen.method == method and part in seen.path]

    def forget(self) -> None:
        self.server.forget()

    def on(self, method: str, part: str, fault: Fault, *, times: int = 1) -> None:
        """The next `times` requests of `method` with `part` in their path get `fault`; earlier rules go first."""
        with self._lock:
            self._rules.append(_Rule(method, part, fault, times))

    def _respond(self, exchange: Exchange) -> None:
        with self._lock:
            rule = next((rule for rule in self._rules if rule.takes(exchange.seen)), None)
            if rule is not None:
                rule.left -= 1
        if rule is not None:
            rule.fault(exchange, self)
        else:
            self.forward(exchange)

    def forward(
        self,
        exchange: Exchange,
        change: Callable[[Iterator[bytes]], Iterator[bytes]] = lambda chunks: chunks,
        *,
        answered: Callable[[], None] | None = None,
    ) -> None:
        """Ask the registry and pass its answer on, its body through `change`; or call `answered` instead."""
        host, _, port = self.upstream.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=30)
        try:
            has_body = "Content-Length" in exchange.headers or "Transfer-Encoding" in exchange.headers
            skipped = {"connection", "transfer-encoding", "keep-alive"}
            headers = {name: value for name, value in exchange.headers.items() if name.lower() not in skipped}
            body = exchange.body_chunks() if has_body else None
            connection.request(
                exchange.command, exchange.path, body, headers, encode_chunked="Content-Length" not in exchange.headers
            )
            response = connection.getresponse()
            if answered is not None:
                response.read()
                answered()
                return
            given = {name: value for name, value in response.getheaders() if name.lower() not in skipped}
            if response.status != 204 and "Content-Length" not in given:
                given["Content-Length"] = "0"
            exchange.begin(response.status, given)
            if exchange.command != "HEAD":
                for chunk in change(iter(lambda: response.read(CHUNK_BYTES), b"")):
                    exchange.wfile.write(chunk)
        except OSError:
            exchange.close_connection = True
            raise
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
