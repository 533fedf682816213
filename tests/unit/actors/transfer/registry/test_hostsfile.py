from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.registry.host import ALL, Capability, Host, Tls
from actors.transfer.registry.hostsfile import read_hosts_file
from wharfie import errors

OWN = Host(url="https://registry.example/v2", tls=Tls(ca=("/docker/ca.crt",)))


def read(tmp_path: Path, text: str) -> list[Host]:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    return read_hosts_file(str(path), own=OWN, namespace="registry.example")


def test_an_empty_file_is_the_registry_itself(tmp_path: Path) -> None:
    assert read(tmp_path, "") == [OWN]


def test_hosts_are_in_the_files_order_and_the_server_last(tmp_path: Path) -> None:
    text = 'server = "https://s"\n[host."https://b"]\n[host."http://a:5000"]\n'
    assert [host.url for host in read(tmp_path, text)] == ["https://b/v2", "http://a:5000/v2", "https://s/v2"]


def test_without_a_server_the_registry_itself_is_last(tmp_path: Path) -> None:
    assert read(tmp_path, '[host."https://b"]\n')[-1] == OWN


def test_mirrors_are_told_for_whom_and_the_registry_is_not(tmp_path: Path) -> None:
    hosts = read(tmp_path, 'server = "https://registry.example"\n[host."https://b"]\n')
    assert [host.namespace for host in hosts] == ["registry.example", ""]
    assert hosts[0].address("a/b/manifests/x") == "https://b/v2/a/b/manifests/x?ns=registry.example"
    assert hosts[1].address("a") == "https://registry.example/v2/a"


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
    [host."https://b/prefix"]
    capabilities = ["pull", "resolve"]
    ca = "ca.crt"
    client = [["c.cert", "c.key"], ["/abs/d.pem"], "e.pem"]
    skip_verify = true
    override_path = true
    dial_timeout = "1m30s"
    [host."https://b/prefix".header]
    X-One = "1"
    X-Two = ["a", "b"]
    """
    found = read(tmp_path, text)[0]
    assert found == Host(
        url="https://b/prefix",
        capabilities=frozenset({Capability.PULL, Capability.RESOLVE}),
        tls=Tls(
            ca=(f"{tmp_path}/ca.crt",),
            client=(
                (f"{tmp_path}/c.cert", f"{tmp_path}/c.key"),
                ("/abs/d.pem", ""),
                (f"{tmp_path}/e.pem", ""),
            ),
            skip_verify=True,
        ),
        header=(("X-One", "1"), ("X-Two", "a, b")),
        dial_timeout_s=90.0,
        namespace="registry.example",
    )


def test_keys_at_the_top_are_the_servers(tmp_path: Path) -> None:
    text = 'server = "https://s"\nca = ["a.crt", "b.crt"]\ncapabilities = ["pull"]\n[host."https://b"]\n'
    mirror, server = read(tmp_path, text)
    assert server.tls.ca == (f"{tmp_path}/a.crt", f"{tmp_path}/b.crt")
    assert server.capabilities == {Capability.PULL}
    assert mirror.capabilities == ALL
    assert mirror.tls == Tls()


def test_the_files_of_docker_beside_it_are_for_the_registry_only(tmp_path: Path) -> None:
    mirror, server = read(tmp_path, 'server = "https://registry.example"\n[host."https://b"]\n')
    assert server.tls == OWN.tls
    assert mirror.tls == Tls()
    assert read(tmp_path, 'server = "https://other"\n')[0].tls == Tls()


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://b", "https://b/v2"),
        ("https://b/", "https://b/v2"),
        ("https://b/v2", "https://b/v2"),
        ("https://b/v2/", "https://b/v2"),
        ("https://b/x", "https://b/x/v2"),
        ("b:5000", "https://b:5000/v2"),
        ("http://[::1]:5000", "http://[::1]:5000/v2"),
    ],
)
def test_the_protocols_path_is_added_where_it_is_missing(tmp_path: Path, url: str, meant: str) -> None:
    assert read(tmp_path, f'[host."{url}"]\n')[0].url == meant


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("server = 5", "server"),
        ('server = "ftp://x"', "server"),
        ('server = "https://x?y=1"', "server"),
        ('server = "https://me:my-secret@x"', "server"),
        ('server = "http://x:port"', "server"),
        ("host = 5", "host"),
        ("typo = 5", "typo"),
        ('[host."https://b"]\ntypo = 5', 'host."https://b".typo'),
        ('[host."https://b"]\ncapabilities = ["fly"]', 'host."https://b".capabilities'),
        ('[host."https://b"]\ncapabilities = 5', 'host."https://b".capabilities'),
        ('[host."https://b"]\nca = [5]', 'host."https://b".ca'),
        ('[host."https://b"]\nca = ""', 'host."https://b".ca'),
        ('[host."https://b"]\nclient = 5', 'host."https://b".client'),
        ('[host."https://b"]\nclient = [["a", "b", "c"]]', 'host."https://b".client'),
        ('[host."https://b"]\nskip_verify = "yes"', 'host."https://b".skip_verify'),
        ('[host."https://b"]\noverride_path = 1', 'host."https://b".override_path'),
        ('[host."https://b"]\nheader = 5', 'host."https://b".header'),
        ('[host."https://b"]\nheader = {X = 5}', 'host."https://b".header.X'),
        ('[host."https://b"]\nheader = {X = "my-secret\\n"}', "host.\"https://b\".header.'X'"),
        ('[host."https://b"]\nheader = {"X Y" = "my-secret"}', "host.\"https://b\".header.'X Y'"),
        ('[host."https://b"]\ndial_timeout = "soon"', 'host."https://b".dial_timeout'),
        ('[host."https://b"]\ndial_timeout = "0s"', 'host."https://b".dial_timeout'),
        ('[host."nonsense://"]', 'host."nonsense://"'),
        ('host."https://b" = 5', 'host."https://b"'),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(errors.FailedPrecondition) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/hosts.toml: {key} ")
    assert caught.value.details["key"] == key
    assert "my-secret" not in str(caught.value)


def test_what_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(errors.FailedPrecondition, match=r"is no TOML.*line 2"):
        read(tmp_path, "\nserver = \n")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "hosts.toml").mkdir()
    with pytest.raises(errors.FailedPrecondition, match=r"hosts\.toml: cannot be read"):
        read_hosts_file(str(tmp_path / "hosts.toml"), own=OWN, namespace="x")


TOML = st.text(alphabet='[]"=.\n host server ca client header https://b{}:5,', max_size=120)


@given(text=TOML)
def test_any_file_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text(text)
    try:
        assert read_hosts_file(str(path), own=OWN, namespace="x")
    except errors.FailedPrecondition as error:
        assert error.details["path"] == str(path)
