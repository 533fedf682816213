from __future__ import annotations

from pathlib import Path

import pytest

from actors.transfer.registry.host import Host, is_loopback, origin
from actors.transfer.registry.hosts import hosts_for, names_of
from wharfie import errors


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("registry.example", "https://registry.example/v2"),
        ("registry.example:5000", "https://registry.example:5000/v2"),
        ("docker.io", "https://registry-1.docker.io/v2"),
        ("localhost:5000", "http://localhost:5000/v2"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2"),
        ("[::1]:5000", "http://[::1]:5000/v2"),
        ("localhost:443", "https://localhost:443/v2"),
    ],
)
def test_without_a_file_a_registry_is_itself_and_loopback_is_plain(host: str, url: str) -> None:
    assert hosts_for(host, []) == [Host(url=url)]


def test_flags_hold_for_hosts_without_a_file() -> None:
    assert hosts_for("r.example", [], plain_http=True)[0].url == "http://r.example/v2"
    found = hosts_for("localhost:5000", [], skip_verify=True)[0]
    assert found.url == "https://localhost:5000/v2"
    assert found.tls.skip_verify


def describe(directory: Path, name: str, server: str) -> None:
    (directory / name).mkdir(parents=True)
    (directory / name / "hosts.toml").write_text(f'server = "https://{server}"\n')


def test_the_most_exact_directory_is_used(tmp_path: Path) -> None:
    for name in ("_default", "r.example:5000", "r.example_5000_", "r.example"):
        describe(tmp_path, name, name.replace(":", "-").replace("_", "-").strip("-"))
    used = {
        host: hosts_for(host, [str(tmp_path)])[0].authority for host in ("r.example:5000", "r.example", "r.example:1")
    }
    assert used == {"r.example:5000": "r.example-5000", "r.example": "r.example", "r.example:1": "default"}


def test_the_first_directory_that_knows_the_host_is_used(tmp_path: Path) -> None:
    describe(tmp_path / "1", "other.example", "one")
    describe(tmp_path / "2", "r.example", "two")
    describe(tmp_path / "3", "r.example", "three")
    directories = [str(tmp_path / name) for name in ("0", "1", "2", "3")]
    assert hosts_for("r.example", directories)[0].authority == "two"


def test_files_as_docker_has_them_make_loopback_secure(tmp_path: Path) -> None:
    directory = tmp_path / "localhost:5000"
    directory.mkdir()
    for name in ("b.crt", "a.crt", "client.cert", "client.key", "notes.txt"):
        (directory / name).touch()
    found = hosts_for("localhost:5000", [str(tmp_path)])[0]
    assert found.url == "https://localhost:5000/v2"
    assert found.tls.ca == (f"{directory}/a.crt", f"{directory}/b.crt")
    assert found.tls.client == ((f"{directory}/client.cert", f"{directory}/client.key"),)


def test_a_certificate_without_its_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example" / "me.cert").touch()
    with pytest.raises(errors.FailedPrecondition, match=r"me\.cert' has no key"):
        hosts_for("r.example", [str(tmp_path)])


@pytest.mark.parametrize(
    ("authority", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("x.localhost", True),
        ("127.0.0.1", True),
        ("127.255.1.2:5000", True),
        ("[::1]", True),
        ("127.0.0.1.example", False),
        ("127.example", False),
        ("128.0.0.1", False),
        ("[::2]:1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_that_looks_like_it(authority: str, loopback: bool) -> None:
    assert is_loopback(authority) is loopback


def test_an_origin_has_its_port_written() -> None:
    assert origin("https://A.example/x") == origin("https://a.example:443/y") == "https://a.example:443"
    assert origin("http://a.example") != origin("https://a.example")


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("https://r.example/v2", ["r.example", "r.example:443"]),
        ("https://r.example:443/v2", ["r.example:443", "r.example"]),
        ("http://r.example:443/v2", ["r.example:443"]),
        ("https://R.example:5000/v2", ["R.example:5000", "r.example:5000"]),
        ("http://[::1]/v2", ["[::1]", "[::1]:80"]),
        ("https://registry-1.docker.io/v2", ["registry-1.docker.io", "registry-1.docker.io:443", "docker.io"]),
    ],
)
def test_a_host_is_called_with_and_without_its_usual_port(url: str, names: list[str]) -> None:
    assert Host(url=url).names == names


def test_the_names_of_a_registry_are_its_own_and_its_mirrors(tmp_path: Path) -> None:
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example" / "hosts.toml").write_text('[host."https://mirror.example:5000"]\n')
    assert names_of("r.example", [str(tmp_path)]) == ["r.example", "mirror.example:5000"]
    assert names_of("docker.io", []) == ["docker.io"]
