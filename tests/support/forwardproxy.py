"""A forward proxy as companies have it: for http by absolute URLs, for https by CONNECT; every host is 127.0.0.1."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from typing import Self
from urllib.parse import urlsplit

from tests.support.httpserver import CHUNK_BYTES, Exchange, HttpServer, Seen


class ForwardProxy:
    """Enter it to use it.

    Args:
        authorization: the `Proxy-Authorization` that it wants; None is anybody.
    """

    def __init__(self, *, authorization: str | None = None) -> None:
        self._authorization = authorization
        self.server = HttpServer(self._respond)
        self.url = self.server.url

    @property
    def requests(self) -> list[Seen]:
        return self.server.requests

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def _respond(self, exchange: Exchange) -> None:
        if self._authorization and exchange.headers.get("Proxy-Authorization") != self._authorization:
            exchange.answer(407, headers={"Proxy-Authenticate": "Basic"})
        elif exchange.command == "CONNECT":
            self._tunnel(exchange)
        else:
            self._pass_on(exchange)

    def _tunnel(self, exchange: Exchange) -> None:
        port = int(exchange.path.rpartition(":")[2])
        exchange.close_connection = True
        with socket.create_connection(("127.0.0.1", port)) as far, contextlib.suppress(OSError):
            exchange.begin(200, {})
            near = exchange.connection
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(CHUNK_BYTES)
                    if not data:
                        return
                    (far if ready is near else near).sendall(data)

    def _pass_on(self, exchange: Exchange) -> None:
        target = urlsplit(exchange.path)
        connection = http.client.HTTPConnection("127.0.0.1", target.port or 80, timeout=30)
        try:
            path = target.path + (f"?{target.query}" if target.query else "")
            connection.request(exchange.command, path, exchange.body() or None, dict(exchange.headers))
            response = connection.getresponse()
            body = response.read()
            headers = {name: value for name, value in response.getheaders() if name.lower() != "transfer-encoding"}
            exchange.answer(response.status, body, headers)
        finally:
            connection.close()
