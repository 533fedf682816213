"""Redirects, retries, mirrors: what one question may become."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.transfer.registry.policy import Policy
from tests.support import faultyproxy
from tests.support.faultyproxy import FaultyProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import Registry
from tests.support.wait import until
from tests.unit.actors.transfer.registry.conftest import QUICK, MakeClient, layer, read_all, reference
from wharfie import errors
from wharfie.types.registry import Credential

DATA = os.urandom(100_000)
SECRET = Credential(username="me", password="my-secret")


def storage(exchange: Exchange) -> None:
    exchange.answer(200, DATA)


def guarded(then: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """A registry that wants to know who is there."""

    def respond(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization") is None:
            exchange.answer(401, headers={"WWW-Authenticate": "Basic"})
        else:
            then(exchange)

    return respond


def sending_to(url: str, status: int = 307) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.answer(status, headers={"Location": url})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_that_a_registry_sends_to_gets_no_credentials(client: MakeClient, status: int) -> None:
    with HttpServer(storage) as store, HttpServer(guarded(sending_to(f"{store.url}/x?sig=1", status))) as server:
        assert read_all(client({server.host: SECRET}), reference(server.host, "a/b"), layer(DATA)) == DATA
    assert [seen.path for seen in store.requests] == ["/x?sig=1"]
    assert "authorization" not in store.requests[0].headers


def test_headers_of_hosts_toml_stay_with_their_host(tmp_path: Path, client: MakeClient) -> None:
    with HttpServer(storage) as store, HttpServer(sending_to(f"{store.url}/x")) as server:
        directory = tmp_path / server.host
        directory.mkdir()
        (directory / "hosts.toml").write_text(f'server = "{server.url}"\nheader = {{ X-Key = ["one", "two"] }}\n')
        assert read_all(client(hosts_dir=tmp_path), reference(server.host, "a/b"), layer(DATA)) == DATA
    assert server.requests[0].headers["x-key"] == "one, two"
    assert "x-key" not in store.requests[0].headers


def test_a_host_that_sends_back_gets_its_credentials_again(client: MakeClient) -> None:
    def registry(exchange: Exchange) -> None:
        if exchange.path.startswith("/v2/"):
            exchange.answer(302, headers={"Location": "/elsewhere"})
        else:
            exchange.answer(200, DATA)

    with HttpServer(guarded(registry)) as server:
        assert read_all(client({server.host: SECRET}), reference(server.host, "a/b"), layer(DATA)) == DATA


def test_the_range_goes_where_the_registry_sends(proxy: FaultyProxy, client: MakeClient) -> None:
    def ranged(exchange: Exchange) -> None:
        first, _, last = exchange.headers["Range"].removeprefix("bytes=").partition("-")
        part = DATA[int(first) : int(last) + 1]
        exchange.answer(206, part, {"Content-Range": f"bytes {first}-{last}/{len(DATA)}"})

    with HttpServer(ranged) as store:
        proxy.on("GET", "/blobs/", lambda exchange, _proxy: sending_to(f"{store.url}/x")(exchange))
        assert read_all(client(), reference(proxy.host, "a/b"), layer(DATA), 10, 20) == DATA[10:30]


def test_a_circle_of_redirects_ends(client: MakeClient) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(302, headers={"Location": exchange.path})) as server,
        pytest.raises(errors.FailedPrecondition, match="more than 10 times"),
    ):
        client().resolve(reference(server.host, "a/b"))
    assert len(server.requests) == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/y", "http://:80/", "http://x:port/", "http://[x/"])
def test_a_redirect_to_what_is_no_http_url_is_refused(client: MakeClient, location: str) -> None:
    with HttpServer(sending_to(location)) as server, pytest.raises(errors.FailedPrecondition, match="no http URL"):
        client().resolve(reference(server.host, "a/b"))


def test_a_redirect_without_a_target_is_an_error(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(302)) as server, pytest.raises(errors.FailedPrecondition):
        client().resolve(reference(server.host, "a/b"))


def test_a_signed_url_is_not_in_the_error(client: MakeClient) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(403)) as store,
        HttpServer(sending_to(f"{store.url}/x?signature=my-secret")) as server,
        pytest.raises(errors.PermissionDenied, match=r"sent on to '127\.0\.0\.1'") as caught,
    ):
        client().fetch(reference(server.host, "a/b"), layer(DATA))
    assert "my-secret" not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str, status: int
) -> None:
    put = server.put_image(repository, "latest", b"layer")
    proxy.on("HEAD", "/manifests/", faultyproxy.answer(status), times=QUICK.attempts - 1)
    assert client().resolve(reference(proxy.host, repository)).digest == put.digest
    assert len(proxy.requests) == QUICK.attempts


def test_a_reset_connection_is_tried_again(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str
) -> None:
    server.put_image(repository, "latest", b"layer")
    proxy.on("HEAD", "/manifests/", faultyproxy.reset, times=2)
    client().resolve(reference(proxy.host, repository))
    assert len(proxy.requests) == 3


def test_a_lasting_failure_is_told_with_host_status_and_retryability(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(503, b"busy")) as server:
        with pytest.raises(errors.Unavailable, match=r"\(503") as caught:
            client().manifest(reference(server.host, "a/b"), layer(DATA))
        assert len(server.requests) == QUICK.attempts
    assert caught.value.retryable
    assert caught.value.details["status"] == 503
    assert caught.value.details["attempts"] == QUICK.attempts


def test_a_refusal_is_not_tried_again(client: MakeClient) -> None:
    with HttpServer(lambda exchange: exchange.answer(404)) as server, pytest.raises(errors.NotFound):
        client().resolve(reference(server.host, "a/b"))
    assert len(server.requests) == 1


def test_retry_after_is_heeded(server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str) -> None:
    """Without it the client's own wait would be an hour."""
    server.put_image(repository, "latest", b"layer")
    patient = client(policy=Policy(backoff_first_s=3600.0, backoff_max_s=3600.0))
    proxy.on("HEAD", "/manifests/", faultyproxy.answer(429, Retry_After="0"))
    patient.resolve(reference(proxy.host, repository))
    assert len(proxy.requests) == 2


def test_a_registry_that_asks_for_too_much_patience_is_an_error(client: MakeClient) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(errors.ResourceExhausted) as caught,
    ):
        client().resolve(reference(server.host, "a/b"))
    assert caught.value.details["retry_after_s"] == 3600
    assert caught.value.retryable
    assert len(server.requests) == 1


def test_closing_ends_a_wait(client: MakeClient) -> None:
    patient = client(policy=Policy(backoff_first_s=3600.0, backoff_max_s=3600.0))
    seen: list[BaseException] = []

    with HttpServer(lambda exchange: exchange.answer(503)) as server:

        def resolve() -> None:
            try:
                patient.resolve(reference(server.host, "a/b"))
            except errors.WharfieError as error:
                seen.append(error)

        thread = threading.Thread(target=resolve)
        thread.start()
        until(lambda: server.requests, deadline_s=30)
        patient.close()
        thread.join(30)
    assert not thread.is_alive()
    assert isinstance(seen[0], errors.Cancelled)


def test_nobody_there_is_unavailable(client: MakeClient) -> None:
    with HttpServer(storage) as server:
        host = server.host
    with pytest.raises(errors.Unavailable, match="connection refused") as caught:
        client(policy=Policy(attempts=1)).resolve(reference(host, "a/b"))
    assert caught.value.details["reason"] == "registry_unreachable"
    assert caught.value.retryable


def test_a_name_without_an_address_is_said_to_be_one(client: MakeClient) -> None:
    with pytest.raises(errors.Unavailable, match="has no address"):
        client(policy=Policy(attempts=1)).resolve(reference("nowhere.invalid", "a/b"))


def test_a_server_that_never_answers_is_left(client: MakeClient) -> None:
    impatient = client(policy=Policy(attempts=1, idle_timeout_s=0.1))
    with HttpServer(Exchange.hold) as server, pytest.raises(errors.Unavailable, match="hear from"):
        impatient.resolve(reference(server.host, "a/b"))


def test_what_is_no_http_is_an_error(client: MakeClient) -> None:
    def nonsense(exchange: Exchange) -> None:
        exchange.wfile.write(b"220 mail.example ESMTP\r\n")
        exchange.hang_up()

    with HttpServer(nonsense) as server, pytest.raises(errors.Unavailable):
        client().resolve(reference(server.host, "a/b"))


def with_hosts(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).mkdir()
    (tmp_path / name / "hosts.toml").write_text(text)
    return tmp_path


def mirrored(tmp_path: Path, *urls: str, server: str = "") -> Path:
    text = f'server = "{server}"\n' if server else ""
    return with_hosts(tmp_path, "registry.example", text + "".join(f'[host."{url}"]\n' for url in urls))


def test_a_mirror_is_asked_first_and_told_for_whom(
    server: Registry, proxy: FaultyProxy, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    put = server.put_image(repository, "latest", b"layer")
    one = client(hosts_dir=mirrored(tmp_path, proxy.url))
    assert one.resolve(reference("registry.example", repository)).digest == put.digest
    assert proxy.requests[0].path.endswith("?ns=registry.example")


def test_what_a_mirror_does_not_have_the_registry_has(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    server.put_image(repository, "latest", b"layer")
    with HttpServer(lambda exchange: exchange.answer(404)) as mirror:
        one = client(hosts_dir=mirrored(tmp_path, mirror.url, server=server.url))
        ref = reference("registry.example", repository)
        one.manifest(ref, one.resolve(ref))
    assert [seen.method for seen in mirror.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_mirror_that_fails_is_asked_once(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path, status: int
) -> None:
    server.put_image(repository, "latest", b"layer")
    with HttpServer(lambda exchange: exchange.answer(status)) as mirror:
        one = client(hosts_dir=mirrored(tmp_path, mirror.url, server=server.url))
        one.resolve(reference("registry.example", repository))
    assert len(mirror.requests) == 1


def test_a_mirror_that_is_away_is_passed_over(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    server.put_image(repository, "latest", b"layer")
    with HttpServer(storage) as mirror:
        pass
    one = client(hosts_dir=mirrored(tmp_path, mirror.url, server=server.url))
    one.resolve(reference("registry.example", repository))


def test_of_several_refusals_the_most_telling_is_raised(client: MakeClient, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        urls = [
            stack.enter_context(HttpServer(lambda exchange, status=status: exchange.answer(status))).url  # type: ignore[misc]
            for status in (500, 403, 404)
        ]
        one = client(hosts_dir=mirrored(tmp_path, *urls[:2], server=urls[2]))
        with pytest.raises(errors.PermissionDenied):
            one.resolve(reference("registry.example", "a/b"))


def test_a_credential_of_the_registry_is_not_the_mirrors(client: MakeClient, tmp_path: Path) -> None:
    with HttpServer(guarded(storage)) as mirror, HttpServer(lambda exchange: exchange.answer(404)) as server:
        one = client({"registry.example": SECRET}, hosts_dir=mirrored(tmp_path, mirror.url, server=server.url))
        with pytest.raises(errors.PermissionDenied):
            one.resolve(reference("registry.example", "a/b"))
        assert all("authorization" not in seen.headers for seen in mirror.requests + server.requests)


def test_hosts_without_the_capability_are_not_asked(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    put = server.put_image(repository, "latest", b"layer")
    with HttpServer(storage) as mirror:
        text = f'server = "{server.url}"\n[host."{mirror.url}"]\ncapabilities = ["pull"]\n'
        one = client(hosts_dir=with_hosts(tmp_path, "registry.example", text))
        ref = reference("registry.example", repository)
        assert one.resolve(ref).digest == put.digest
        assert one.push_blob(ref, layer(DATA), lambda offset: io.BytesIO(DATA[offset:]))
        assert not mirror.requests


def test_no_host_with_the_capability_is_an_error(client: MakeClient, tmp_path: Path) -> None:
    text = 'server = "http://127.0.0.1:1"\ncapabilities = ["pull", "resolve"]\n'
    one = client(hosts_dir=with_hosts(tmp_path, "registry.example", text))
    with pytest.raises(errors.FailedPrecondition, match="can push"):
        one.exists(reference("registry.example", "a/b"), layer(DATA))


def test_a_path_that_is_overridden_is_used_as_it_stands(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    put = server.put_image(f"prefix/{repository}", "latest", b"layer")
    text = f'[host."{server.url}/v2/prefix"]\noverride_path = true\n'
    one = client(hosts_dir=with_hosts(tmp_path, "registry.example", text))
    assert one.resolve(reference("registry.example", repository)).digest == put.digest


def test_a_changed_file_holds_for_the_next_client(client: MakeClient, tmp_path: Path) -> None:
    with HttpServer(lambda exchange: exchange.answer(404)) as server:
        hosts = mirrored(tmp_path, server=server.url)
        with pytest.raises(errors.NotFound):
            client(hosts_dir=hosts).resolve(reference("registry.example", "a/b"))
        (tmp_path / "registry.example" / "hosts.toml").write_text("server = 5\n")
        with pytest.raises(errors.FailedPrecondition, match=r"hosts\.toml: server has to be"):
            client(hosts_dir=hosts).resolve(reference("registry.example", "a/b"))
