from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wharfie import credentials, errors
from wharfie.credentials import CredentialFile, collect, erase, files, find, keys_of, login_file, lookup, read, store
from wharfie.types.registry import Credential

ME = Credential(username="me", password="a:b ü")

HELPER = """#!{python}
import json, os, sys
kept = os.path.join(os.path.dirname(sys.argv[0]), "kept.json")
table = json.load(open(kept)) if os.path.exists(kept) else {{}}
given = sys.stdin.read()
if sys.argv[1] == "get":
    if given not in table:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps({{"ServerURL": given, **table[given]}}))
elif sys.argv[1] == "store":
    entry = json.loads(given)
    table[entry.pop("ServerURL")] = entry
elif sys.argv[1] == "erase":
    table.pop(given, None)
json.dump(table, open(kept, "w"))
"""


def auth(user: str = "me", password: str = "a:b ü") -> dict[str, Any]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def written(tmp_path: Path, **document: Any) -> CredentialFile:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return read(str(path))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program on PATH as a helper."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    def put(name: str, text: str) -> Path:
        path = directory / f"docker-credential-{name}"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def keeper(helper: Callable[[str, str], Path]) -> Path:
    """A real helper, `keeper`, and the file of what it keeps."""
    return helper("keeper", HELPER.format(python=sys.executable)).parent / "kept.json"


def test_an_entry_of_the_file_is_found(tmp_path: Path) -> None:
    file = written(tmp_path, auths={"r.example": auth()})
    assert lookup(file, "r.example") == ME
    assert lookup(file, "other.example") is None


@pytest.mark.parametrize("key", ["https://r.example", "http://r.example", "https://r.example/", "r.example"])
def test_a_host_is_found_under_the_names_that_tools_give_it(tmp_path: Path, key: str) -> None:
    assert lookup(written(tmp_path, auths={key: auth()}), "r.example") == ME


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_docker_hub_is_found_under_all_its_names(tmp_path: Path, host: str, key: str) -> None:
    assert lookup(written(tmp_path, auths={key: auth()}), host) == ME


def test_a_port_is_part_of_the_host(tmp_path: Path) -> None:
    file = written(tmp_path, auths={"r.example": auth(), "r.example:5000": auth("you")})
    found = lookup(file, "r.example:5000")
    assert found is not None
    assert found.username == "you"


def test_tokens_and_plain_fields_are_read(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        auths={
            "a": {**auth("me", ""), "identitytoken": "it"},
            "b": {"registrytoken": "rt"},
            "c": {"username": "me", "password": "pw"},
            "d": {},
            "e": None,
        },
    )
    assert lookup(file, "a") == Credential(username="me", identity_token="it")
    assert lookup(file, "b") == Credential(bearer="rt")
    assert lookup(file, "c") == Credential(username="me", password="pw")
    assert lookup(file, "d") is None
    assert lookup(file, "e") is None


@pytest.mark.parametrize(
    "entry", [{"auth": "!"}, {"auth": base64.b64encode(b"no colon").decode()}, {"auth": 5}, {"password": ["x"]}]
)
def test_a_malformed_entry_is_named(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(errors.FailedPrecondition, match=r"config\.json has an .*'r\.example'"):
        lookup(written(tmp_path, auths={"r.example": entry}), "r.example")


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"auths": 5}', '{"credHelpers": []}', '{"credsStore": 5}', "\xff"])
def test_a_malformed_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(errors.FailedPrecondition, match=str(path)):
        read(str(path))


@pytest.mark.parametrize("text", ["", "  \n", "{}", '{"auths": null}'])
def test_an_empty_file_knows_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert lookup(read(str(path)), "r.example") is None
    assert lookup(read(str(tmp_path / "none")), "r.example") is None


def test_a_helper_is_asked_for_its_own_host_first(tmp_path: Path, keeper: Path) -> None:
    keeper.write_text(json.dumps({"r.example": {"Username": "it", "Secret": "pw"}}))
    file = written(tmp_path, auths={"r.example": auth(), "s.example": auth()}, credHelpers={"r.example": "keeper"})
    assert lookup(file, "r.example") == Credential(username="it", password="pw")
    assert lookup(file, "s.example") == ME


def test_the_common_helper_is_asked_for_the_rest(tmp_path: Path, keeper: Path) -> None:
    keeper.write_text(json.dumps({"https://index.docker.io/v1/": {"Username": "<token>", "Secret": "it"}}))
    file = written(tmp_path, auths={"r.example": auth(), "docker.io": {}}, credsStore="keeper")
    assert lookup(file, "docker.io") == Credential(identity_token="it")
    assert lookup(file, "r.example") == ME
    assert lookup(file, "unknown.example") is None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\necho broken; exit 1\n", "broken"),
        ("#!/bin/sh\necho broken >&2; exit 3\n", "broken"),
        ("#!/bin/sh\nexit 4\n", "ended with 4"),
        ("#!/bin/sh\necho nonsense\n", "no JSON"),
        ("#!/bin/sh\necho '{}'\n", "no JSON with"),
        ('#!/bin/sh\necho \'{"Username": 1, "Secret": "x"}\'\n', "no JSON with"),
    ],
)
def test_a_helper_that_fails_is_named_with_its_words(
    tmp_path: Path, helper: Callable[[str, str], Path], script: str, why: str
) -> None:
    helper("bad", script)
    with pytest.raises(errors.FailedPrecondition, match=f"docker-credential-bad' failed: .*{why}"):
        lookup(written(tmp_path, credsStore="bad"), "r.example")


@pytest.mark.parametrize("name", ["none", "../../bin/sh", "x\ny"])
def test_a_helper_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.FailedPrecondition, match="credential helper 'docker-credential-"):
        lookup(written(tmp_path, credsStore=name), "r.example")


def test_a_helper_that_hangs_is_left(tmp_path: Path, helper: Callable[[str, str], Path]) -> None:
    helper("slow", "#!/bin/sh\nexec cat /dev/zero > /dev/null\n")
    with pytest.raises(errors.Unavailable, match=r"within 0\.2 s"):
        lookup(written(tmp_path, credsStore="slow"), "r.example", helper_timeout_s=0.2)


def test_a_credential_is_kept_in_the_file_for_its_owner_only(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "config.json")
    assert store(path, "r.example", ME) == path
    assert lookup(read(path), "r.example") == ME
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path / "new") == ["config.json"]


def test_what_else_is_in_the_file_stays(tmp_path: Path) -> None:
    file = written(tmp_path, auths={"s.example": auth("you")}, HttpHeaders={"X": "y"}, psFormat="table")
    store(file.path, "r.example", Credential(username="me", identity_token="it"))
    document = json.loads(Path(file.path).read_text())
    assert document["HttpHeaders"] == {"X": "y"}
    assert document["auths"]["r.example"]["identitytoken"] == "it"
    found = lookup(read(file.path), "s.example")
    assert found is not None
    assert found.username == "you"


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "config.json").symlink_to("real.json")
    store(str(tmp_path / "config.json"), "r.example", ME)
    assert (tmp_path / "config.json").is_symlink()
    assert lookup(read(str(tmp_path / "real.json")), "r.example") == ME


def test_a_helper_keeps_and_forgets_what_the_file_then_only_names(tmp_path: Path, keeper: Path) -> None:
    file = written(tmp_path, credsStore="keeper")
    assert store(file.path, "r.example", ME) == "keeper"
    assert json.loads(keeper.read_text())["r.example"] == {"Username": "me", "Secret": "a:b ü"}
    assert json.loads(Path(file.path).read_text())["auths"] == {"r.example": {}}
    assert lookup(read(file.path), "r.example") == ME
    assert erase(file.path, "r.example")
    assert lookup(read(file.path), "r.example") is None
    assert json.loads(keeper.read_text()) == {}


def test_what_is_forgotten_is_gone_and_forgetting_again_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, auths={"https://r.example": auth(), "http://r.example/": auth(), "s.example": auth()})
    assert erase(file.path, "r.example")
    assert not erase(file.path, "r.example")
    assert list(read(file.path).auths) == ["s.example"]


def test_the_files_that_are_looked_at_follow_the_environment() -> None:
    assert files({"HOME": "/h"}) == ["/h/.docker/config.json", "/h/.config/containers/auth.json"]
    assert files({"HOME": "/h", "DOCKER_CONFIG": "/d", "XDG_RUNTIME_DIR": "/r", "XDG_CONFIG_HOME": "/c"}) == [
        "/d/config.json",
        "/r/containers/auth.json",
        "/c/containers/auth.json",
    ]
    assert files({"HOME": "/h", "REGISTRY_AUTH_FILE": "/a.json"}) == ["/a.json"]
    assert files({}) == []
    assert login_file({"HOME": "/h", "REGISTRY_AUTH_FILE": "/a.json"}) == "/a.json"
    assert login_file({}) == ""


def test_the_first_file_that_knows_the_host_is_used(tmp_path: Path) -> None:
    environment = {"DOCKER_CONFIG": str(tmp_path / "d"), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    for name, user in {"d/config.json": "docker", "c/containers/auth.json": "podman"}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(json.dumps({"auths": {f"{user}.example": auth(user), "both.example": auth(user)}}))
    found = collect(["docker.example", "podman.example", "both.example", "none.example"], environment=environment)
    assert {host: credential.username for host, credential in found.items()} == {
        "docker.example": "docker",
        "podman.example": "podman",
        "both.example": "docker",
    }
    assert find("none.example", environment=environment) is None


def test_the_likeliest_name_of_a_host_is_the_one_that_is_written() -> None:
    assert keys_of("docker.io")[0] == "https://index.docker.io/v1/"
    assert keys_of("r.example")[0] == "r.example"


def test_a_credential_does_not_show_its_secrets() -> None:
    secret = Credential(username="me", password="my-secret", identity_token="my-secret", bearer="my-secret")
    assert "my-secret" not in f"{secret!r} {secret}"


def test_it_is_loaded_only_by_who_asks_for_it() -> None:
    code = "import sys, wharfie, wharfie._sync.client; print('wharfie.credentials' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert credentials.DOCKER_HUB == "https://index.docker.io/v1/"
