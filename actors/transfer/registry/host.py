"""A host that may be asked, and how: its URL, what it can do, its certificates and headers. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from wharfie.reference import DEFAULT_HOST, api_host


class Capability(StrEnum):
    """What a host is asked for (`hosts.toml`)."""

    PULL = "pull"
    RESOLVE = "resolve"
    PUSH = "push"
    REFERRERS = "referrers"


ALL = frozenset(Capability)


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Certificates: files with authorities, pairs of certificate and key to show, and whether to look at all."""

    ca: tuple[str, ...] = ()
    client: tuple[tuple[str, str], ...] = ()
    skip_verify: bool = False

    def for_others(self) -> Tls:
        """For a host that this one sends us to: it does not learn who we are."""
        return replace(self, client=())


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host of a registry.

    Attributes:
        url: with its path, `https://mirror.example:5000/v2`, no slash at the end.
        namespace: the host in the reference when this one stands in for it (a mirror), else empty; sent as `ns`.
        header: sent with each request to this host and to no other.
        dial_timeout_s: to connect; None is the policy's.
    """

    url: str
    capabilities: frozenset[Capability] = ALL
    tls: Tls = field(default_factory=Tls)
    header: tuple[tuple[str, str], ...] = ()
    dial_timeout_s: float | None = None
    namespace: str = ""

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return origin(self.url)

    @property
    def authority(self) -> str:
        """Host and, when it is written, port: how people call it."""
        return urlsplit(self.url).netloc

    @property
    def names(self) -> list[str]:
        """What people may call this host: with and without the port that its scheme has anyway; Docker Hub."""
        parts = urlsplit(self.url)
        bare = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        names = [self.authority, f"{bare}:{port_of(parts)}"]
        if port_of(parts) == _usual_port(parts.scheme):
            names.append(bare)
        if bare == api_host(DEFAULT_HOST):
            names.append(DEFAULT_HOST)
        return list(dict.fromkeys(names))

    def address(self, path: str, *, query: tuple[tuple[str, str], ...] = ()) -> str:
        """The URL of a path below this host's."""
        if self.namespace:
            query = (*query, ("ns", self.namespace))
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe=':/')}" for name, value in query)
        return f"{self.url}/{path}" + (f"?{text}" if text else "")


def split_http_url(text: str) -> SplitResult | None:
    """The parts of a URL of http or https; None for everything else that a stranger may have written."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if valid else None


def target_of(url: str, location: str) -> str:
    """Where a header sends to, seen from the URL that answered; empty when that is no URL of http or https."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return ""
    return target if split_http_url(target) is not None else ""


def port_of(parts: SplitResult) -> int:
    """The port of a URL of http or https, also when it is not written."""
    return parts.port or _usual_port(parts.scheme)


def origin(url: str) -> str:
    """Scheme, host and port of a URL, the port always written; what credentials are bound to."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port_of(parts)}"


def _usual_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def is_loopback(authority: str) -> bool:
    """Whether `host[:port]` is this machine, where plain http is what registries speak."""
    name = (urlsplit(f"//{authority}").hostname or "").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
