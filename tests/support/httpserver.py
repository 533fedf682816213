"""An HTTP server in threads of its own whose answers a test writes; loopback only, one thread a connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

CHUNK_BYTES = 256 * 1024
HANDSHAKE_S = 20.0


class Seen(NamedTuple):
    """A request as it came in; header names are lower case, the path has its query."""

    method: str
    path: str
    headers: dict[str, str]


class Exchange(BaseHTTPRequestHandler):
    """One request and the means to answer it, well or badly."""

    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    @property
    def seen(self) -> Seen:
        return Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})

    def body(self) -> bytes:
        return b"".join(self.body_chunks())

    def body_chunks(self) -> Iterator[bytes]:
        """What the client sends, chunked or with its length."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self.rfile.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise ConnectionAbortedError("the client went in the middle of its body")
            left -= len(chunk)
            yield chunk

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer; `Content-Length` is right unless `headers` has another."""
        self.begin(status, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers only."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection in the middle; with `reset` the client gets ECONNRESET rather than an end."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.connection.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Say nothing until the server stops or the client goes."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            # The client went, or we hung up on it.
            self.close_connection = True

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def _serve(self) -> None:
        with self.server.lock:
            self.server.requests.append(self.seen)
        self.server.respond(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: str, respond: Callable[[Exchange], None], tls: ssl.SSLContext | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.respond = respond
        self.tls = tls
        self.requests: list[Seen] = []
        self.lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        super().__init__((address, 0), Exchange)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread, so that a client that does not finish its handshake stops nobody else.
        if self.tls is not None:
            try:
                request.settimeout(HANDSHAKE_S)
                request = self.tls.wrap_socket(request, server_side=True)
                request.settimeout(None)
            except OSError:
                return
        with self.lock:
            self.connections.add(request)
        try:
            super().finish_request(request, client_address)
        except OSError:
            pass
        finally:
            with self.lock:
                self.connections.discard(request)
            request.close()


class HttpServer:
    """Serves while it is entered; `stop` hangs up on everybody.

    Args:
        respond: called for each request, in the thread of its connection.
        address: to listen on; the port is a free one.
        tls: of a server; None is plain http.
    """

    def __init__(
        self, respond: Callable[[Exchange], None], *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = _Server(address, respond, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="http-server")
        shown = f"[{address}]" if ":" in address else address
        self.host = f"{shown}:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    @property
    def requests(self) -> list[Seen]:
        """Every request so far, the oldest first."""
        with self._server.lock:
            return list(self._server.requests)

    def forget(self) -> None:
        with self._server.lock:
            self._server.requests.clear()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        with self._server.lock:
            connections = list(self._server.connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
