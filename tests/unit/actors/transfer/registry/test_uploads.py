from __future__ import annotations

import os

import pytest

from tests.support import faultyproxy
from tests.support.faultyproxy import FaultyProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import Registry
from tests.unit.actors.transfer.registry.conftest import QUICK, MakeClient, Source, layer, read_all, reference
from wharfie import errors
from wharfie.types.registry import Credential

SMALL = os.urandom(100_000)
LARGE = os.urandom(1_000_000)
PIECE = QUICK.upload_chunk_bytes


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE], ids=["empty", "byte", "small", "large"])
def test_a_blob_is_sent_and_is_there(server: Registry, client: MakeClient, repository: str, data: bytes) -> None:
    source, seen = Source(data), list[int]()
    ref = reference(server.host, repository)
    assert client().push_blob(ref, layer(data), source, progress=seen.append)
    assert read_all(client(), ref, layer(data)) == data
    assert source.closed
    assert seen == sorted(seen)
    assert seen[-1] == len(data)


def test_a_small_blob_takes_one_request_with_its_bytes(proxy: FaultyProxy, client: MakeClient, repository: str) -> None:
    client().push_blob(reference(proxy.host, repository), layer(SMALL), Source(SMALL))
    assert [seen.method for seen in proxy.requests] == ["HEAD", "POST", "PUT"]


def test_a_large_blob_goes_in_pieces(proxy: FaultyProxy, client: MakeClient, repository: str) -> None:
    client().push_blob(reference(proxy.host, repository), layer(LARGE), Source(LARGE))
    ranges = [seen.headers.get("content-range") for seen in proxy.requests if seen.method in {"PATCH", "PUT"}]
    assert ranges == ["0-262143", "262144-524287", "524288-786431", "786432-999999"]


def test_what_is_there_is_not_sent_again(proxy: FaultyProxy, client: MakeClient, repository: str) -> None:
    ref = reference(proxy.host, repository)
    client().push_blob(ref, layer(SMALL), Source(SMALL))
    proxy.forget()
    source, seen = Source(SMALL), list[int]()
    assert not client().push_blob(ref, layer(SMALL), source, progress=seen.append)
    assert [seen.method for seen in proxy.requests] == ["HEAD"]
    assert seen == [len(SMALL)]
    assert not source.opened


def test_a_blob_of_another_repository_is_mounted(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    server.put_blob(f"{repository}/from", SMALL)
    source = Source(SMALL)
    ref = reference(proxy.host, repository)
    assert not client().push_blob(ref, layer(SMALL), source, [repository, f"{repository}/none", f"{repository}/from"])
    assert not source.opened
    assert read_all(client(), ref, layer(SMALL)) == SMALL
    # The upload that the registry began instead of the first mount was given back.
    assert [seen.method for seen in proxy.requests][:4] == ["HEAD", "POST", "POST", "GET"]


def test_a_mount_that_does_not_succeed_becomes_an_upload(
    proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    ref = reference(proxy.host, repository)
    assert client().push_blob(ref, layer(SMALL), Source(SMALL), [f"{repository}/none"])
    assert [seen.method for seen in proxy.requests] == ["HEAD", "POST", "PUT"]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 503])
def test_a_mount_that_is_refused_becomes_an_upload(
    proxy: FaultyProxy, client: MakeClient, repository: str, status: int
) -> None:
    proxy.on("POST", "mount=", faultyproxy.answer(status))
    assert client().push_blob(reference(proxy.host, repository), layer(SMALL), Source(SMALL), ["other/one"])


@pytest.mark.parametrize("fault", [faultyproxy.swallow_after(1000), faultyproxy.answer(503), faultyproxy.reset])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_the_last_piece_is_sent_again_after_a_failure(
    proxy: FaultyProxy, client: MakeClient, repository: str, data: bytes, fault: faultyproxy.Fault
) -> None:
    ref = reference(proxy.host, repository)
    proxy.on("PUT", "/uploads/", fault)
    source = Source(data)
    assert client().push_blob(ref, layer(data), source)
    assert read_all(client(), ref, layer(data)) == data
    assert source.closed
    assert len(proxy.seen("POST")) == 1


@pytest.mark.parametrize("fault", [faultyproxy.swallow_after(1000), faultyproxy.answer(500), faultyproxy.reset])
def test_an_upload_goes_on_with_the_piece_that_failed(
    proxy: FaultyProxy, client: MakeClient, repository: str, fault: faultyproxy.Fault
) -> None:
    ref = reference(proxy.host, repository)
    proxy.on("PATCH", "", lambda exchange, proxy: proxy.forward(exchange))
    proxy.on("PATCH", "", fault)
    assert client().push_blob(ref, layer(LARGE), Source(LARGE))
    assert read_all(client(), ref, layer(LARGE)) == LARGE
    ranges = [seen.headers["content-range"] for seen in proxy.seen("PATCH")]
    assert ranges == ["0-262143", "262144-524287", "262144-524287", "524288-786431"]
    assert len(proxy.seen("POST")) == 1


def test_an_upload_whose_answer_was_lost_goes_on_from_what_the_registry_has(
    proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    proxy.on("PATCH", "", faultyproxy.cut_answer)
    ref = reference(proxy.host, repository)
    assert client().push_blob(ref, layer(LARGE), Source(LARGE))
    assert read_all(client(), ref, layer(LARGE)) == LARGE


def test_a_finished_upload_whose_answer_was_lost_is_not_sent_again(
    proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    proxy.on("PUT", "/uploads/", faultyproxy.cut_answer)
    ref = reference(proxy.host, repository)
    assert client().push_blob(ref, layer(SMALL), Source(SMALL))
    assert [seen.method for seen in proxy.requests] == ["HEAD", "POST", "PUT", "HEAD"]


def test_an_upload_that_the_registry_forgot_begins_anew(
    proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    gone = faultyproxy.answer(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
    proxy.on("PATCH", "", lambda exchange, proxy: proxy.forward(exchange))
    proxy.on("PATCH", "", gone)
    proxy.on("GET", "/uploads/", gone)
    ref, seen = reference(proxy.host, repository), list[int]()
    assert client().push_blob(ref, layer(LARGE), Source(LARGE), progress=seen.append)
    assert read_all(client(), ref, layer(LARGE)) == LARGE
    assert len(proxy.seen("POST")) == 2
    assert seen == [PIECE, 0, PIECE, 2 * PIECE, 3 * PIECE, len(LARGE)]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_registry_that_fails_for_good_is_given_up_after_some_attempts(
    proxy: FaultyProxy, client: MakeClient, repository: str, method: str
) -> None:
    proxy.on(method, "/uploads/", faultyproxy.answer(500), times=100)
    source = Source(SMALL)
    with pytest.raises(errors.Unavailable) as caught:
        client().push_blob(reference(proxy.host, repository), layer(SMALL), source)
    assert caught.value.retryable
    assert caught.value.details["attempts"] == len(proxy.seen(method)) == QUICK.attempts
    assert source.closed


def test_wrong_bytes_are_refused_by_the_registry(server: Registry, client: MakeClient, repository: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="digest"):
        client().push_blob(reference(server.host, repository), layer(SMALL), Source(SMALL[::-1]))


def test_a_source_that_ends_early_is_an_error_at_once(proxy: FaultyProxy, client: MakeClient, repository: str) -> None:
    source = Source(SMALL[:-10])
    with pytest.raises(errors.DataLoss, match="ends 10 bytes before"):
        client().push_blob(reference(proxy.host, repository), layer(SMALL), source)
    assert source.closed
    assert len(proxy.seen("PUT")) <= 1


def test_a_smallest_piece_of_the_registry_is_heeded(client: MakeClient) -> None:
    ranges = []

    def registry(exchange: Exchange) -> None:
        exchange.body()
        if exchange.command == "HEAD":
            exchange.answer(404)
        elif exchange.command == "POST":
            exchange.answer(202, headers={"Location": "/v2/up?state=1", "OCI-Chunk-Min-Length": "400000"})
        else:
            ranges.append(exchange.headers["Content-Range"])
            exchange.answer(201 if exchange.command == "PUT" else 202, headers={"Location": "/v2/up?state=2"})

    with HttpServer(registry) as server:
        client().push_blob(reference(server.host, "a/b"), layer(LARGE), Source(LARGE))
        assert ranges == ["0-399999", "400000-799999", "800000-999999"]
        assert server.requests[-1].path == f"/v2/up?state=2&digest={layer(LARGE).digest}"


@pytest.mark.parametrize("location", ["", "http://[x/", "http://x:port/", "ftp://x/y"])
def test_an_upload_that_goes_nowhere_is_an_error(client: MakeClient, location: str) -> None:
    def registry(exchange: Exchange) -> None:
        exchange.answer(404 if exchange.command == "HEAD" else 202, headers={"Location": location})

    with HttpServer(registry) as server, pytest.raises(errors.FailedPrecondition, match="where it goes"):
        client().push_blob(reference(server.host, "a/b"), layer(SMALL), Source(SMALL))


@pytest.mark.parametrize("held", ["0-0", "0-99999999", "0-262143"])
def test_a_registry_that_counts_otherwise_is_not_sent_to_for_ever(client: MakeClient, held: str) -> None:
    def registry(exchange: Exchange) -> None:
        exchange.body()
        statuses = {"HEAD": 404, "POST": 202, "PATCH": 202, "GET": 204, "DELETE": 204}
        headers = {"Location": "/v2/up", **({"Range": held} if exchange.command in {"PATCH", "GET"} else {})}
        exchange.answer(statuses[exchange.command], headers=headers)

    with HttpServer(registry) as server, pytest.raises(errors.Unavailable, match="bytes of blob"):
        client().push_blob(reference(server.host, "a/b"), layer(LARGE), Source(LARGE))


def test_an_upload_on_another_host_gets_no_credentials(client: MakeClient) -> None:
    def storage(exchange: Exchange) -> None:
        exchange.body()
        exchange.answer(201)

    with HttpServer(storage) as store:

        def registry(exchange: Exchange) -> None:
            if exchange.headers.get("Authorization") is None:
                exchange.answer(401, headers={"WWW-Authenticate": "Basic"})
            elif exchange.command == "HEAD":
                exchange.answer(404)
            else:
                exchange.answer(202, headers={"Location": f"{store.url}/put?signature=1"})

        with HttpServer(registry) as server:
            one = client({server.host: Credential(username="me", password="secret")})
            assert one.push_blob(reference(server.host, "a/b"), layer(SMALL), Source(SMALL))
        assert [seen.method for seen in store.requests] == ["PUT"]
        assert "authorization" not in store.requests[0].headers
