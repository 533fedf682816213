"""`wharfie login` and `logout` against real registries; no daemon is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import Ended, Shell
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.tokenserver import TokenServer
from wharfie import credentials
from wharfie.types.registry import Credential


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry"), basic=True) as registry:
        yield registry


def run(home: Path, *arguments: str, stdin: bytes | None = None, **environment: str) -> Ended:
    clean = {"HOME": str(home), "DOCKER_CONFIG": "", "REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": "", **environment}
    return Shell(str(home / "no.sock"), "default").run(*arguments, stdin=stdin, env=clean)


def kept(home: Path, host: str) -> Credential | None:
    return credentials.lookup(credentials.read(str(home / ".docker" / "config.json")), host)


def document(home: Path) -> Any:
    return json.loads((home / ".docker" / "config.json").read_text())


def test_a_login_is_checked_and_kept(registry: Registry, tmp_path: Path) -> None:
    done = run(tmp_path, "login", registry.host, "-u", USER, "--password-stdin", stdin=f"{PASSWORD}\n".encode())
    assert done.code == 0, done
    assert done.out == f"logged in to {registry.host} as {USER}; kept in {tmp_path}/.docker/config.json\n"
    assert kept(tmp_path, registry.host) == Credential(username=USER, password=PASSWORD)
    assert PASSWORD not in (tmp_path / ".docker" / "config.json").read_text()


def test_a_wrong_password_is_refused_and_not_kept(registry: Registry, tmp_path: Path) -> None:
    done = run(tmp_path, "login", registry.host, "-u", USER, "--password-stdin", stdin=b"wr0ng")
    assert done.code == 1
    assert f"does not accept user '{USER}'" in done.err
    assert "wr0ng" not in done.err
    assert not (tmp_path / ".docker").exists()


def test_an_identity_token_is_kept_in_the_passwords_place(tmp_path: Path) -> None:
    users, granted = {USER: PASSWORD}, {USER: "refresh-me"}
    with (
        TokenServer(tmp_path / "tokens", users=users, refresh_tokens=granted) as tokens,
        Registry(tmp_path / "r", token=tokens.auth) as registry,
    ):
        done = run(tmp_path, "login", registry.host, "-u", USER, "--password-stdin", stdin=PASSWORD.encode())
        assert done.code == 0, done
        assert kept(tmp_path, registry.host) == Credential(username=USER, identity_token="refresh-me")


def test_logout_forgets(registry: Registry, tmp_path: Path) -> None:
    run(tmp_path, "login", f"https://{registry.host}/", "-u", USER, "--password-stdin", stdin=PASSWORD.encode())
    done = run(tmp_path, "logout", registry.host, "--json")
    assert (done.code, json.loads(done.out)) == (0, {"host": registry.host})
    assert document(tmp_path) == {"auths": {}}
    again = run(tmp_path, "logout", registry.host)
    assert again.code == 1
    assert f"no credentials of '{registry.host}'" in again.err


def test_docker_config_names_another_directory(registry: Registry, tmp_path: Path) -> None:
    arguments = ("login", registry.host, "-u", USER, "--password-stdin", "--json")
    done = run(tmp_path, *arguments, stdin=PASSWORD.encode(), DOCKER_CONFIG=str(tmp_path / "other"))
    assert json.loads(done.out)["kept"] == f"{tmp_path}/other/config.json"


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("login", "r.example", "-u", "me"), None, "password is missing"),
        (("login", "r.example"), None, "username is missing"),
        (("login", "r.example", "-u", "me", "--password-stdin"), b"", "no password on standard input"),
        (("login", "r.example/repo", "-u", "me", "--password-stdin"), b"x", "is no host"),
        (("login", "repo", "-u", "me", "--password-stdin"), b"x", "would be a repository"),
    ],
)
def test_what_is_missing_is_a_usage_error(
    tmp_path: Path, arguments: tuple[str, ...], stdin: bytes | None, words: str
) -> None:
    done = run(tmp_path, *arguments, stdin=stdin)
    assert done.code == 2
    assert words in done.err


def test_requests_take_along_what_the_registry_and_its_mirrors_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.registrycredentials import credentials_of
    from config import settings

    class Transfer(settings.Transfer, frozen=True, kw_only=True):
        hosts_dir: str = str(tmp_path)

    monkeypatch.setattr(settings, "Transfer", Transfer)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    for host in ("r.example", "mirror.example", "other.example"):
        credentials.store(str(tmp_path / "auth.json"), host, Credential(username=host, password="x"))
    for host, text in {"r.example": '[host."https://mirror.example"]\n', "bad.example": "typo = 1\n"}.items():
        (tmp_path / host).mkdir()
        (tmp_path / host / "hosts.toml").write_text(text)
    assert sorted(credentials_of(["r.example", "bad.example"])) == ["mirror.example", "r.example"]
