"""A host that may be asked, and how: its URL, what it can do, its certificates and headers. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import quote, urlsplit

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
        usual = 443 if parts.scheme == "https" else 80
        bare = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        names = [self.authority, f"{bare}:{parts.port or usual}"]
        if (parts.port or usual) == usual:
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


def origin(url: str) -> str:
    """Scheme, host and port of a URL, the port always written; what credentials are bound to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def is_loopback(authority: str) -> bool:
    """Whether `host[:port]` is this machine, where plain http is what registries speak."""
    name = (urlsplit(f"//{authority}").hostname or "").lower()
    return name in {"localhost", "::1"} or name.endswith(".localhost") or _is_loopback_v4(name)


def _is_loopback_v4(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() and int(part) < 256 for part in parts)
