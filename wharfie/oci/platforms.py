"""Platforms: this machine's, and which of several manifests fits a wanted one. Pure but for `host`."""

from __future__ import annotations

import os

from wharfie.errors import InvalidArgument
from wharfie.oci.descriptor import Platform

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armv8l": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "loongarch64": ("loong64", ""),
}
"""What uname and people call an architecture: the name that images use, and its variant."""

_IMPLIED = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}


def host() -> Platform:
    """The platform of this machine."""
    return normalized("linux", os.uname().machine, "")


def normalized(system: str, architecture: str, variant: str) -> Platform:
    """A platform in the words of image specifications: lower case, one name for each architecture, default variant
    left out (and said for 32-bit arm).
    """
    name = architecture.lower()
    known, implied = _ARCHITECTURES.get(name, (name, ""))
    chosen = (variant or implied).lower()
    if known == "arm" and chosen and not chosen.startswith("v"):
        chosen = f"v{chosen}"
    chosen = _IMPLIED.get((known, chosen), chosen)
    return Platform(os=system.lower(), architecture=known, variant=chosen or None)


def parse(text: str) -> Platform:
    """`os/arch[/variant]`; empty is this machine's.

    Raises:
        InvalidArgument: `details["field"]` is `platform`.
    """
    if not text:
        return host()
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise InvalidArgument(
            f"platform '{text[:64]}' is not 'os/architecture' or 'os/architecture/variant', such as 'linux/amd64'",
            details={"field": "platform"},
        )
    return normalized(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def shown(platform: Platform) -> str:
    """`os/arch[/variant]`."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


_UNSAID = 1000
"""Worse than any that fits."""


def rank(found: Platform | None, wanted: Platform) -> int:
    """How well a manifest's platform fits: 0 exactly, more is worse but runs, -1 does not run.

    A processor runs what was made for older ones of its kind; without a variant only the plain one. None is what nobody
    says: it fits worse than all that fit, and better than none.
    """
    if found is None:
        return _UNSAID
    found = normalized(found.os, found.architecture, found.variant or "")
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return -1
    if found.variant == wanted.variant:
        return 0
    if wanted.architecture in ("arm", "amd64", "arm64"):
        distance = _level(wanted) - _level(found)
        return distance if distance >= 0 else -1
    return -1 if found.variant and wanted.variant else 1


def _level(platform: Platform) -> int:
    text = (platform.variant or {"amd64": "v1", "arm64": "v8"}.get(platform.architecture, "v7"))[1:]
    return int(text) if text.isascii() and text.isdigit() else 99
