"""Which proxy stands between us and a URL: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Pure.

The rules of Go: the lower-case variable goes first; `NO_PROXY` lists domains (`example.com` with what lies below it,
`.example.com` only what lies below), addresses, networks in CIDR and `*`, each with or without a port. Loopback is
never proxied.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from actors.transfer.registry.host import is_loopback, port_of, split_http_url
from wharfie.errors import FailedPrecondition


class Proxies:
    """The proxies of an environment.

    Args:
        environment: such as `os.environ`; an empty one is no proxy.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        everything = _first(environment, "ALL_PROXY")
        self._by_scheme = {
            "http": _first(environment, "HTTP_PROXY") or everything,
            "https": _first(environment, "HTTPS_PROXY") or everything,
        }
        self._exceptions = [entry.strip() for entry in _first(environment, "NO_PROXY").split(",") if entry.strip()]

    def proxy_for(self, url: str) -> str:
        """The proxy's URL, with its user and password if it has them; empty when the host is asked directly.

        Raises:
            FailedPrecondition: the variable holds no URL of an http proxy.
        """
        parts = urlsplit(url)
        proxy = self._by_scheme.get(parts.scheme, "")
        name = (parts.hostname or "").lower()
        if not proxy or is_loopback(parts.netloc.rpartition("@")[2]):
            return ""
        if any(_matches(entry.lower(), name, port_of(parts)) for entry in self._exceptions):
            return ""
        return _checked(proxy if "://" in proxy else f"http://{proxy}", parts.scheme)


def _first(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.lower()) or environment.get(name) or ""


def _checked(proxy: str, scheme: str) -> str:
    if split_http_url(proxy) is None:
        # Not the value: it may have a password.
        raise FailedPrecondition(
            f"{scheme.upper()}_PROXY in the daemon's environment is no URL of an http proxy; write http://host:port",
            details={"reason": "registry_proxy"},
        )
    return proxy


def _matches(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    address = _address(name)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    try:
        parts = urlsplit(f"//{entry}" if entry.count(":") < 2 or entry.startswith("[") else f"//[{entry}]")
        wanted, wanted_port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if wanted_port is not None and wanted_port != port:
        return False
    if address is not None:
        return address == _address(wanted)
    domain = wanted.removeprefix("*").lstrip(".")
    return bool(domain) and (name.endswith(f".{domain}") or (name == domain and not wanted.startswith((".", "*"))))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
