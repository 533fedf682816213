"""Whatever a server answers, the client returns or raises one of our errors, and says nothing it should not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.transfer.registry.client import Registry
from actors.transfer.registry.policy import Policy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import MANIFEST
from tests.unit.actors.transfer.registry.conftest import Source, layer, reference
from wharfie.errors import Internal, InvalidArgument, WharfieError
from wharfie.oci.descriptor import Descriptor
from wharfie.types.registry import Credential

HEADERS = (
    "Content-Length",
    "Content-Type",
    "Content-Range",
    "Content-Encoding",
    "Docker-Content-Digest",
    "Location",
    "Range",
    "Retry-After",
    "Transfer-Encoding",
    "WWW-Authenticate",
    "Link",
    "OCI-Chunk-Min-Length",
)
VALUES = st.one_of(
    st.sampled_from(
        (
            "0", "-1", "10", "99999999999999999999", "chunked", "gzip", "zstd", "bytes 0-9/10", "bytes 5-2/1", "0-9",
            "0-99999999999999999999", MANIFEST, "text/html", f"sha256:{'0' * 64}", "sha256:x", "/v2/", "//", "http://",
            "http://[", "?", "Bearer realm=x", 'Bearer realm="http://127.0.0.1:1/"', "Basic", "<x>; rel=next",
        )
    ),
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=255), max_size=20),
)  # fmt: skip
ANSWERS = st.tuples(
    st.sampled_from((100, 200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 416, 429, 500, 999)),
    st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=6),
    st.binary(max_size=40)
    | st.sampled_from((b'{"errors":[{"code":5}]}', b'{"token":"x"}', b"5\r\nhello\r\n0\r\n\r\n")),
)
DATA = b"0123456789"
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Script:
    """What the server answers next: raw bytes."""

    raw = b""

    def __call__(self, exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(self.raw)


@pytest.fixture(scope="module")
def script() -> Script:
    return Script()


@pytest.fixture(scope="module")
def liar(script: Script) -> Iterator[HttpServer]:
    with HttpServer(script) as server:
        yield server


def survives(host: str) -> None:
    """Every call against it ends in a result or in an error that is not a bug and does not tell the password."""
    policy = Policy(attempts=1, idle_timeout_s=5.0, backoff_first_s=0.001)
    ref, blob = reference(host, "a/b"), layer(DATA)

    def fetch(client: Registry) -> None:
        with client.fetch(ref, blob) as reader:
            buffer = bytearray(100)
            while reader.readinto(buffer):
                pass

    calls: list[Any] = [
        lambda client: client.resolve(ref),
        lambda client: client.manifest(ref, blob),
        fetch,
        lambda client: client.referrers(ref, blob.digest),
        lambda client: client.push_blob(ref, blob, Source(DATA), ["c/d"]),
        lambda client: client.login(host),
    ]
    for call in calls:
        credentials = {host: Credential(username="me", password="my-secret")}
        with Registry("", credentials, "wharfie/test", policy=policy, environment={}) as client:
            try:
                call(client)
            except WharfieError as error:
                assert not isinstance(error, Internal)
                assert "my-secret" not in f"{error} {error.details}"
                assert str(error).isprintable()


@FEW
@given(answer=ANSWERS)
def test_no_answer_breaks_the_client(
    script: Script, liar: HttpServer, answer: tuple[int, dict[str, str], bytes]
) -> None:
    status, headers, body = answer
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    script.raw = "\r\n".join(lines).encode("latin-1") + b"\r\nConnection: close\r\n\r\n" + body
    survives(liar.host)


@FEW
@given(raw=st.binary(max_size=100) | st.binary(max_size=60).map(lambda more: b"HTTP/1.1 200 OK\r\n" + more))
def test_no_bytes_break_the_client(script: Script, liar: HttpServer, raw: bytes) -> None:
    script.raw = raw
    survives(liar.host)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip",
    ],
    ids=["many headers", "long header", "long status", "long chunk size", "no gzip"],
)
def test_no_size_breaks_the_client(script: Script, liar: HttpServer, raw: bytes) -> None:
    script.raw = raw
    survives(liar.host)


@pytest.mark.parametrize(
    "digest", ["", "sha256:../../../secrets", f"sha256:{'0' * 63}", f"md5:{'0' * 32}", "x?y", "a/b"]
)
def test_a_digest_that_is_none_never_becomes_a_url(script: Script, liar: HttpServer, digest: str) -> None:
    liar.forget()
    ref, wrong = reference(liar.host, "a/b"), Descriptor(media_type=MANIFEST, digest=digest, size=10)
    with Registry("", {}, "wharfie/test", environment={}) as client:
        calls: list[Any] = [
            lambda: client.manifest(ref, wrong),
            lambda: client.fetch(ref, wrong),
            lambda: client.exists(ref, wrong),
            lambda: client.referrers(ref, digest),
            lambda: client.push_blob(ref, wrong, Source(DATA)),
            lambda: client.push_manifest(ref, wrong, DATA),
        ]
        for call in calls:
            with pytest.raises(InvalidArgument):
                call()
    assert not liar.requests
