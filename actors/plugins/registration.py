"""One plugin's registration: what it is, what it needs, where it runs, how it starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

EVERYTHING = "*"
"""As the only requirement: start after all others."""

_PREFIXES = ("io.containerd.", "wharfie.")
_VERSION = re.compile(r"\.v[0-9]+(?=\.|$)")


Config = type[msgspec.Struct]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin.

    Attributes:
        type: what kind of thing it is, `snapshotter.v1`; others require it by this.
        id: its name among those of its type, `overlayfs`.
        worker: the process it runs in.
        requires: types that must have started before it, or `("*",)`.
        init: makes the instance from an `InitContext`: a function, or "package.module:function", which is then
            imported by its worker only; None: its worker's `main` brings it, or there is nothing to make.
        config: a msgspec struct that its table of the configuration file is turned into; None: a plain map.
    """

    type: str
    id: str
    worker: str
    requires: tuple[str, ...] = ()
    init: str | Callable[..., Any] | None = None
    config: Config | None = None

    @property
    def uri(self) -> str:
        """Its full id, `type.id`, as the configuration names it."""
        return f"{self.type}.{self.id}"


def canonical(uri: str) -> str:
    """A full id in the form that is compared: containerd's and our prefix and the type's version make no difference."""
    for prefix in _PREFIXES:
        uri = uri.removeprefix(prefix)
    return _VERSION.sub("", uri, count=1)


def names(uris: tuple[str, ...], registration: Registration) -> bool:
    """Whether a list of the configuration names this plugin."""
    return bool(uris) and canonical(registration.uri) in {canonical(uri) for uri in uris}
