from __future__ import annotations

import pytest

from actors.transfer.registry.proxies import Proxies
from wharfie import errors

BOTH = {"HTTP_PROXY": "http://plain:3128", "HTTPS_PROXY": "http://secure:3129"}


def proxied(url: str, no_proxy: str = "") -> bool:
    return bool(Proxies({**BOTH, "NO_PROXY": no_proxy}).proxy_for(url))


def test_the_scheme_chooses_the_proxy() -> None:
    proxies = Proxies(BOTH)
    assert proxies.proxy_for("http://a.example/x") == "http://plain:3128"
    assert proxies.proxy_for("https://a.example/x") == "http://secure:3129"


def test_without_variables_there_is_none() -> None:
    assert Proxies({}).proxy_for("https://a.example/") == ""


def test_lower_case_goes_first_and_all_proxy_last() -> None:
    proxies = Proxies({**BOTH, "https_proxy": "http://lower:1", "ALL_PROXY": "http://all:1", "HTTP_PROXY": ""})
    assert proxies.proxy_for("https://a.example/") == "http://lower:1"
    assert proxies.proxy_for("http://a.example/") == "http://all:1"


def test_a_proxy_without_a_scheme_is_http() -> None:
    assert Proxies({"HTTP_PROXY": "plain:3128"}).proxy_for("http://a.example/") == "http://plain:3128"


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "127.9.9.9:5000", "[::1]:5000", "x.localhost"])
def test_loopback_is_never_proxied(host: str) -> None:
    assert not proxied(f"http://{host}/")


@pytest.mark.parametrize(
    ("no_proxy", "host", "excepted"),
    [
        ("*", "a.example", True),
        ("a.example", "a.example", True),
        ("a.example", "b.a.example", True),
        ("a.example", "ba.example", False),
        (".a.example", "b.a.example", True),
        (".a.example", "a.example", False),
        ("*.a.example", "b.a.example", True),
        ("A.Example", "a.example", True),
        ("x, a.example ,", "a.example", True),
        ("a.example:5000", "a.example:5000", True),
        ("a.example:5000", "a.example", False),
        ("a.example:443", "a.example", True),
        ("10.0.0.0/8", "10.1.2.3:5000", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "a.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "110.1.2.3", False),
        ("fd00::/8", "[fd00::1]:5000", True),
        ("fd00::1", "[fd00::1]", True),
        ("[fd00::1]:5000", "[fd00::1]:5000", True),
        ("[fd00::1]:5000", "[fd00::1]", False),
        ("fd00::/8", "10.1.2.3", False),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("[", "10.1.2.3", False),
        ("a.example:port", "a.example", False),
    ],
)
def test_no_proxy_excepts_hosts_domains_addresses_and_networks(no_proxy: str, host: str, excepted: bool) -> None:
    assert proxied(f"https://{host}/", no_proxy) is not excepted


@pytest.mark.parametrize("proxy", ["socks5://me:secret@p:1", "http://", "http://me:secret@p:port", "http://[secret"])
def test_a_malformed_proxy_is_named_but_not_shown(proxy: str) -> None:
    with pytest.raises(errors.FailedPrecondition, match="HTTPS_PROXY") as caught:
        Proxies({"HTTPS_PROXY": proxy}).proxy_for("https://a.example/")
    assert "secret" not in str(caught.value)
