"""Reading `WWW-Authenticate`: what a registry wants to see (RFC 9110 §11.6, RFC 6750 §3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*,*\s*({_WORD})(?=\s|,|$)\s*")
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')
_HEADER_MAX = 16 * 1024


class Challenge(NamedTuple):
    """One way to authenticate.

    Attributes:
        scheme: lower case, `basic` or `bearer`.
        parameters: names in lower case: `realm`, `service`, `scope`, `error`.
    """

    scheme: str
    parameters: dict[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges in one or several headers, in their order; what cannot be read ends a header's list."""
    return [challenge for header in headers for challenge in _parse(header[:_HEADER_MAX])]


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Bearer before basic; None when there is neither."""
    known = [challenge for challenge in challenges if challenge.scheme in {"bearer", "basic"}]
    known = [one for one in known if one.scheme == "basic" or one.parameters.get("realm")]
    return min(known, key=lambda challenge: challenge.scheme == "basic", default=None)


def _parse(text: str) -> Iterable[Challenge]:
    at = 0
    while found := _SCHEME.match(text, at):
        at = found.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, at):
            name, quoted, plain = parameter.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            at = parameter.end()
        yield Challenge(found[1].lower(), parameters)
