"""TLS with authorities of one's own, certificates of clients, proxies, IPv6."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.transfer.registry.policy import Policy
from tests.support.certificates import Authority
from tests.support.forwardproxy import ForwardProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import Registry
from tests.unit.actors.transfer.registry.conftest import MakeClient, Source, layer, read_all, reference
from wharfie import errors

DATA = os.urandom(200_000)
NAME = "registry.test"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Registry]:
    """A registry with a certificate of our authority."""
    pair = authority.issue("server", names=f"IP:127.0.0.1,DNS:{NAME}")
    with Registry(tmp_path_factory.mktemp("secure"), tls=pair) as registry:
        yield registry


def describe(directory: Path, host: str, text: str) -> Path:
    (directory / host).mkdir()
    (directory / host / "hosts.toml").write_text(text)
    return directory


def server_of(registry: Registry, **keys: str) -> str:
    return f'server = "{registry.url}"\n' + "".join(f"{key} = {value}\n" for key, value in keys.items())


def works(client: MakeClient, host: str, repository: str, **options: object) -> bool:
    one, ref = client(**options), reference(host, repository)
    one.push_blob(ref, layer(DATA), Source(DATA))
    return read_all(one, ref, layer(DATA)) == DATA


def test_an_authority_of_hosts_toml_is_believed(
    secure: Registry, authority: Authority, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    hosts = describe(tmp_path, secure.host, server_of(secure, ca=f'"{authority.certificate}"'))
    assert works(client, secure.host, repository, hosts_dir=hosts)


def test_a_stranger_is_not_believed_and_the_remedy_named(
    secure: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    hosts = describe(tmp_path, secure.host, server_of(secure))
    with pytest.raises(errors.FailedPrecondition, match=r"'ca' in the host's hosts\.toml") as caught:
        client(hosts_dir=hosts).resolve(reference(secure.host, repository))
    assert caught.value.details["reason"] == "registry_tls"
    assert not caught.value.retryable


def test_verification_can_be_skipped(secure: Registry, client: MakeClient, repository: str, tmp_path: Path) -> None:
    hosts = describe(tmp_path, secure.host, server_of(secure, skip_verify="true"))
    assert works(client, secure.host, repository, hosts_dir=hosts)
    assert works(client, secure.host, f"{repository}/flag", skip_verify=True)


def test_the_files_that_docker_has_are_used(
    secure: Registry, authority: Authority, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    (tmp_path / secure.host).mkdir()
    (tmp_path / secure.host / "ca.crt").write_bytes(authority.certificate.read_bytes())
    assert works(client, secure.host, repository, hosts_dir=tmp_path)


@pytest.mark.parametrize("form", ["pair", "one file", "docker"])
def test_a_client_shows_its_certificate(
    authority: Authority, client: MakeClient, repository: str, tmp_path: Path, form: str
) -> None:
    certificate, key = authority.issue("client")
    with Registry(tmp_path / "r", tls=authority.issue("mutual"), client_ca=authority.certificate) as registry:
        ca = f'"{authority.certificate}"'
        with pytest.raises(errors.WharfieError):
            bare = describe(tmp_path / "r", registry.host, server_of(registry, ca=ca))
            client(hosts_dir=bare, policy=Policy(attempts=1)).resolve(reference(registry.host, repository))
        if form == "docker":
            directory = tmp_path / registry.host
            directory.mkdir()
            for name, source in {
                "ca.crt": authority.certificate,
                "client.cert": certificate,
                "client.key": key,
            }.items():
                (directory / name).write_bytes(source.read_bytes())
            hosts = tmp_path
        elif form == "pair":
            hosts = describe(
                tmp_path, registry.host, server_of(registry, ca=ca, client=f'[["{certificate}", "{key}"]]')
            )
        else:
            both = tmp_path / "both.pem"
            both.write_bytes(certificate.read_bytes() + key.read_bytes())
            hosts = describe(tmp_path, registry.host, server_of(registry, ca=ca, client=f'"{both}"'))
        assert works(client, registry.host, repository, hosts_dir=hosts)


@pytest.mark.parametrize("keys", [{"ca": '"none.crt"'}, {"client": '[["none.cert", "none.key"]]'}])
def test_a_certificate_that_is_not_there_is_named(
    secure: Registry, client: MakeClient, tmp_path: Path, keys: dict[str, str]
) -> None:
    hosts = describe(tmp_path, secure.host, server_of(secure, **keys))
    with pytest.raises(errors.FailedPrecondition, match=f"{tmp_path}/{secure.host}/none"):
        client(hosts_dir=hosts).resolve(reference(secure.host, "a/b"))


def test_plain_http_to_a_registry_with_tls_names_the_remedy(secure: Registry, client: MakeClient) -> None:
    with pytest.raises(errors.FailedPrecondition, match=f'server = "https://{secure.host}"'):
        client().manifest(reference(secure.host, "a/b"), layer(DATA))


def test_tls_to_a_registry_with_plain_http_names_the_remedy(
    server: Registry, client: MakeClient, tmp_path: Path
) -> None:
    hosts = describe(tmp_path, server.host, f'server = "https://{server.host}"\n')
    with pytest.raises(errors.FailedPrecondition, match="does not speak TLS"):
        client(hosts_dir=hosts).resolve(reference(server.host, "a/b"))


def test_a_connection_that_ends_in_the_handshake_is_a_broken_one(client: MakeClient, tmp_path: Path) -> None:
    """As when a load balancer restarts: another attempt may succeed, other than after a refusal by TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(30)

        def hang_up() -> None:
            near, _ = listener.accept()
            with near:
                near.recv(1 << 16)

        done = pool.submit(hang_up)
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        hosts = describe(tmp_path, host, f'server = "https://{host}"\n')
        with pytest.raises(errors.Unavailable) as caught:
            client(hosts_dir=hosts, policy=Policy(attempts=1)).resolve(reference(host, "a/b"))
        done.result(30)
    assert caught.value.retryable


def test_the_certificate_stays_with_its_host(authority: Authority, client: MakeClient, tmp_path: Path) -> None:
    """Who is sent elsewhere does not show there who it is."""
    shown: list[object] = []

    def serving(pair: tuple[Path, Path], verify: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        context.load_verify_locations(authority.certificate)
        context.verify_mode = verify
        return context

    def storage(exchange: Exchange) -> None:
        assert isinstance(exchange.connection, ssl.SSLSocket)
        shown.append(exchange.connection.getpeercert())
        exchange.answer(200, DATA)

    pair, mine = authority.issue("storage"), authority.issue("me")
    with HttpServer(storage, tls=serving(pair, ssl.CERT_OPTIONAL)) as store:

        def registry(exchange: Exchange) -> None:
            assert isinstance(exchange.connection, ssl.SSLSocket)
            shown.append(exchange.connection.getpeercert())
            exchange.answer(307, headers={"Location": f"{store.url}/x"})

        with HttpServer(registry, tls=serving(pair, ssl.CERT_REQUIRED)) as server:
            text = f'server = "{server.url}"\nca = "{authority.certificate}"\nclient = [["{mine[0]}", "{mine[1]}"]]\n'
            one = client(hosts_dir=describe(tmp_path, server.host, text))
            assert read_all(one, reference(server.host, "a/b"), layer(DATA)) == DATA
            one.close()
    assert bool(shown[0]) is True
    assert not shown[1]


def test_plain_http_goes_through_the_proxy(server: Registry, client: MakeClient, repository: str) -> None:
    with ForwardProxy() as proxy:
        environment = {"HTTP_PROXY": proxy.url}
        assert works(client, f"{NAME}:{server.port}", repository, environment=environment, plain_http=True)
    assert all(seen.path.startswith(f"http://{NAME}:{server.port}/v2/") for seen in proxy.requests)
    assert len(proxy.requests) == 4


def test_tls_goes_through_the_proxy_in_a_tunnel(
    secure: Registry, authority: Authority, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    host = f"{NAME}:{secure.port}"
    hosts = describe(tmp_path, f"{NAME}_{secure.port}_", f'ca = "{authority.certificate}"\n')
    with ForwardProxy() as proxy:
        assert works(client, host, repository, environment={"HTTPS_PROXY": proxy.url}, hosts_dir=hosts)
    assert {(seen.method, seen.path) for seen in proxy.requests} == {("CONNECT", host)}


def test_the_proxy_is_told_who_we_are_and_nobody_else(server: Registry, client: MakeClient, repository: str) -> None:
    wanted = "Basic " + base64.b64encode(b"me:p@ss").decode()
    server.put_image(repository, "latest", b"layer")
    with ForwardProxy(authorization=wanted) as proxy:
        environment = {"HTTP_PROXY": proxy.url.replace("://", "://me:p%40ss@")}
        client(environment=environment, plain_http=True).resolve(reference(f"{NAME}:{server.port}", repository))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_its_password(client: MakeClient, scheme: str) -> None:
    with ForwardProxy(authorization="Basic other") as proxy:
        environment = {f"{scheme}_proxy": proxy.url.replace("://", "://me:my-secret@")}
        one = client(environment=environment, plain_http=scheme == "http", policy=Policy(attempts=1))
        with pytest.raises(errors.WharfieError) as caught:
            one.resolve(reference(f"{NAME}:1", "a/b"))
    assert "my-secret" not in f"{caught.value} {caught.value.details} {caught.value.__cause__}"


def test_no_proxy_goes_around_it(client: MakeClient) -> None:
    with ForwardProxy() as proxy, pytest.raises(errors.Unavailable):
        one = client(environment={"HTTP_PROXY": proxy.url, "NO_PROXY": ".invalid"}, plain_http=True)
        one.resolve(reference("nowhere.invalid", "a/b"))
    assert not proxy.requests


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 on loopback")
def test_an_ipv6_literal_is_a_host(client: MakeClient, repository: str, tmp_path: Path) -> None:
    with Registry(tmp_path / "r", address="::1") as registry:
        assert registry.host.startswith("[::1]:")
        assert works(client, registry.host, repository)
