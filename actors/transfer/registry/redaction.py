"""What may be shown of a URL or a header: no user, no password, no token, no signature. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

_SHOWN = 300


def shown_url(url: str) -> str:
    """Scheme, host and path; a query is `?…`, because storage services put their signatures there."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(a malformed URL)"
    text = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else f"{host}{parts.path}"
    return shown_text(text + ("?…" if parts.query else ""))


def shown_text(text: str) -> str:
    """A stranger's sentence on one line: without control characters, cut short."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN]).split())
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}…"
