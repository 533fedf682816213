from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.authorizer import merged
from actors.transfer.registry.host import Host
from actors.transfer.registry.policy import Policy
from actors.transfer.registry.proxies import Proxies
from actors.transfer.registry.tokens import TokenServer as Named
from actors.transfer.registry.tokens import ask_for_token
from actors.transfer.registry.transport import Transport
from tests.support import faultyproxy
from tests.support.faultyproxy import FaultyProxy
from tests.support.httpserver import Exchange, HttpServer
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.tokenserver import TokenServer
from tests.unit.actors.transfer.registry.conftest import QUICK, MakeClient, Source, layer, read_all, reference
from wharfie import errors
from wharfie.types.registry import Credential

DATA = os.urandom(300_000)
ME = Credential(username=USER, password=PASSWORD)


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("basic"), basic=True) as registry:
        yield registry


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with TokenServer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture
def tokens(issuer: TokenServer) -> TokenServer:
    """A token server with one user, as it was when it was new."""
    issuer.users = {USER: PASSWORD}
    issuer.refresh_tokens = {USER: "refresh-me"}
    issuer.post, issuer.expires_in_s = True, 300
    issuer.allows = lambda _user, scope: scope.rpartition(":")[2].split(",")
    issuer.asked.clear()
    return issuer


@pytest.fixture(scope="module")
def guarded(issuer: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("guarded"), token=issuer.auth) as registry:
        yield registry


def test_basic_authentication_opens_push_and_pull(basic: Registry, client: MakeClient, repository: str) -> None:
    ref = reference(basic.host, repository)
    one = client({basic.host: ME})
    assert one.push_blob(ref, layer(DATA), Source(DATA))
    assert read_all(one, ref, layer(DATA)) == DATA


def test_nobody_is_told_to_log_in(basic: Registry, client: MakeClient, repository: str) -> None:
    with pytest.raises(errors.PermissionDenied, match=f"wharfie login {basic.host}") as caught:
        client().resolve(reference(basic.host, repository))
    assert caught.value.details["reason"] == "registry_unauthorized"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "wrong", [Credential(username=USER, password="wr0ng"), Credential(username="x", password="wr0ng")]
)
def test_a_wrong_password_is_refused_without_being_shown(
    basic: Registry, client: MakeClient, repository: str, wrong: Credential
) -> None:
    with FaultyProxy(basic.url) as proxy:
        with pytest.raises(errors.PermissionDenied, match=f"does not accept user '{wrong.username}'") as caught:
            client({proxy.host: wrong}).resolve(reference(proxy.host, repository))
        assert len(proxy.requests) == 2
    assert "wr0ng" not in str(caught.value)


def test_a_credential_is_of_one_host_only(basic: Registry, client: MakeClient, repository: str) -> None:
    others = {"other.example": ME, "127.0.0.1": ME, f"https://{basic.host}": ME, "docker.io": ME}
    with pytest.raises(errors.PermissionDenied):
        client(others).resolve(reference(basic.host, repository))


@pytest.mark.parametrize("post", [True, False])
def test_a_token_is_fetched_with_the_password(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str, post: bool
) -> None:
    tokens.post = post
    ref = reference(guarded.host, repository)
    one = client({guarded.host: ME})
    assert one.push_blob(ref, layer(DATA), Source(DATA))
    assert read_all(one, ref, layer(DATA)) == DATA
    granted = [asked for asked in tokens.asked if asked.method == ("POST" if post else "GET")]
    assert {tuple(asked.scopes) for asked in granted} == {
        (f"repository:{repository}:pull,push",),
        (f"repository:{repository}:pull",),
    }
    # One for reading, one for writing, whatever the number of requests.
    assert len(granted) == 2


def test_an_anonymous_token_is_asked_for_by_get(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    tokens.users = {}
    ref = reference(guarded.host, repository)
    assert client().push_blob(ref, layer(DATA), Source(DATA))
    assert {asked.method for asked in tokens.asked} == {"GET"}


def test_an_identity_token_takes_the_passwords_place(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    one = client({guarded.host: Credential(username=USER, identity_token="refresh-me")})
    assert not one.exists(reference(guarded.host, repository), layer(DATA))
    assert [(asked.method, asked.grant_type) for asked in tokens.asked] == [("POST", "refresh_token")]


def test_a_wrong_identity_token_is_refused(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    one = client({guarded.host: Credential(username=USER, identity_token="stale-secret")})
    with pytest.raises(errors.PermissionDenied, match="log in again") as caught:
        one.resolve(reference(guarded.host, repository))
    assert "stale-secret" not in str(caught.value)
    assert {asked.method for asked in tokens.asked} == {"POST"}


def test_a_token_of_ones_own_is_sent_as_it_is(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    token = tokens.token("me", [f"repository:{repository}:pull"])
    one = client({guarded.host: Credential(bearer=token)})
    assert not one.exists(reference(guarded.host, repository), layer(DATA))
    assert not tokens.asked


def test_a_wrong_password_at_the_token_server_is_the_registrys_refusal(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    with pytest.raises(errors.PermissionDenied, match="incorrect username or password") as caught:
        client({guarded.host: Credential(username=USER, password="wrong-one")}).resolve(
            reference(guarded.host, repository)
        )
    assert caught.value.details["host"] == guarded.host
    assert "wrong-one" not in str(caught.value)


def test_a_token_that_allows_less_is_denied_and_not_asked_for_for_ever(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    tokens.allows = lambda _user, _scope: ["pull"]
    with pytest.raises(errors.PermissionDenied):
        client({guarded.host: ME}).push_blob(reference(guarded.host, repository), layer(DATA), Source(DATA))
    assert len(tokens.asked) <= 3


def test_a_mount_asks_for_both_repositories(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    one = client({guarded.host: ME})
    one.push_blob(reference(guarded.host, f"{repository}/from"), layer(DATA), Source(DATA))
    tokens.asked.clear()
    assert not one.push_blob(reference(guarded.host, repository), layer(DATA), Source(DATA), [f"{repository}/from"])
    both = {f"repository:{repository}/from:pull", f"repository:{repository}:pull,push"}
    assert both in [set(asked.scopes) for asked in tokens.asked]


def test_a_token_that_is_not_good_any_more_is_replaced_once(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    with FaultyProxy(guarded.url) as proxy:
        one, ref = client({proxy.host: ME}), reference(proxy.host, repository)
        assert not one.exists(ref, layer(DATA))
        challenge = f'Bearer realm="{tokens.auth.realm}",service="{tokens.auth.service}",error="invalid_token"'
        proxy.on("HEAD", "/blobs/", faultyproxy.answer(401, WWW_Authenticate=challenge))
        assert not one.exists(ref, layer(DATA))
        assert len(tokens.asked) == 2


def test_threads_that_need_the_same_token_ask_once(
    guarded: Registry, tokens: TokenServer, client: MakeClient, repository: str
) -> None:
    one, ref = client({guarded.host: ME}), reference(guarded.host, repository)
    one.push_blob(ref, layer(DATA), Source(DATA))
    tokens.asked.clear()
    two = client({guarded.host: ME})
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_all(two, ref, layer(DATA)), range(8)))
    assert found == [DATA] * 8
    assert len(tokens.asked) == 1


def test_login_gives_the_identity_token(guarded: Registry, tokens: TokenServer, client: MakeClient) -> None:
    assert client({guarded.host: ME}).login(guarded.host) == "refresh-me"
    assert tokens.asked[-1].offline
    assert tokens.asked[-1].scopes == []


def test_login_without_a_token_server_gives_none(basic: Registry, client: MakeClient) -> None:
    assert client({basic.host: ME}).login(basic.host) == ""
    with pytest.raises(errors.PermissionDenied):
        client({basic.host: Credential(username=USER, password="no")}).login(basic.host)


def refusing(realm: str) -> HttpServer:
    """A registry that names a token server."""
    return HttpServer(lambda exchange: exchange.answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))


@pytest.mark.parametrize("realm", ["ftp://x/token", "/token", "http://", "http://me:you@x/token", "http://x:port/"])
def test_a_token_server_that_is_no_http_url_is_not_asked(client: MakeClient, realm: str) -> None:
    with refusing(realm) as server, pytest.raises(errors.FailedPrecondition, match="no http URL"):
        client().resolve(reference(server.host, "a/b"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"token": ""}', b'{"token": 5}', b'{"token": "a\\r\\nb"}'])
def test_an_answer_without_a_token_is_named(client: MakeClient, body: bytes) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(200, body)) as tokens,
        refusing(f"{tokens.url}/token") as server,
        pytest.raises(errors.FailedPrecondition, match="without a token"),
    ):
        client().resolve(reference(server.host, "a/b"))


def test_a_token_server_that_fails_is_asked_again(client: MakeClient) -> None:
    with (
        HttpServer(lambda exchange: exchange.answer(503)) as tokens,
        refusing(f"{tokens.url}/token") as server,
        pytest.raises(errors.Unavailable),
    ):
        client().resolve(reference(server.host, "a/b"))
    assert len(tokens.requests) == QUICK.attempts


def test_a_password_is_not_sent_in_the_clear_for_a_registry_with_tls() -> None:
    host = Host(url="https://r.example/v2")
    with pytest.raises(errors.PermissionDenied, match="plain http"):
        ask_for_token(
            Named("http://auth.example/token", ""),
            (),
            ME,
            host=host,
            transport=Transport(Policy(), Proxies({})),
            user_agent="wharfie/test",
        )


def test_a_registry_that_wants_something_else_is_refused_access(client: MakeClient) -> None:
    def registry(exchange: Exchange) -> None:
        exchange.answer(401, headers={"WWW-Authenticate": "Negotiate"})

    with HttpServer(registry) as server, pytest.raises(errors.PermissionDenied):
        client({server.host: ME}).resolve(reference(server.host, "a/b"))
    assert len(server.requests) == 1


SCOPES = st.lists(st.sampled_from(["repository:a:pull", "repository:a:pull,push", "repository:b:pull", "registry:c:*"]))


@given(SCOPES, st.randoms())
def test_merged_scopes_do_not_depend_on_order_or_number(scopes: list[str], chance: object) -> None:
    again = scopes + scopes[::2]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert merged(tuple(again)) == merged(tuple(scopes))
    assert len({scope.rpartition(":")[0] for scope in merged(tuple(scopes))}) == len(merged(tuple(scopes)))


def test_actions_of_one_repository_are_one_scope() -> None:
    assert merged(("repository:a:push", "repository:a:pull")) == ("repository:a:pull,push",)
