"""An answer of a registry whose status was expected, its body yet to be read."""

from __future__ import annotations

import contextlib
from typing import Self

from urllib3 import HTTPHeaderDict, exceptions

from actors.transfer.registry.transport import Response, broken
from wharfie.errors import InvalidArgument

_PIECE_BYTES = 256 * 1024
_DRAINED_BYTES = 16 * 1024


class Answer:
    """One answer; close it, or read it to its end, and the connection is used again.

    Attributes:
        status: of HTTP.
        headers: their names in any case.
        url: that answered, after redirects.
        host: name of the host for errors.
    """

    def __init__(self, response: Response, *, url: str, host: str) -> None:
        self.response = response
        self.status: int = response.status
        self.headers: HTTPHeaderDict = response.headers
        self.url = url
        self.host = host

    @property
    def length(self) -> int | None:
        """`Content-Length`; None when it is missing or no number."""
        text = self.headers.get("Content-Length", "")
        return int(text[:19]) if text.isascii() and text.isdigit() else None

    def body(self, limit_bytes: int, *, what: str) -> bytes:
        """All of the body.

        Raises:
            InvalidArgument: it is larger than the limit; at most that much was read.
            Unavailable: the connection broke.
        """
        data = self.some(limit_bytes + 1)
        if len(data) > limit_bytes:
            raise InvalidArgument(
                f"{what} from registry '{self.host}' is larger than {limit_bytes} bytes",
                details={"reason": "registry_too_large", "host": self.host},
            )
        return data

    def some(self, limit_bytes: int) -> bytes:
        """At most the first `limit_bytes` of the body; closes the answer."""
        pieces: list[bytes] = []
        left = limit_bytes
        try:
            while left and (piece := self.response.read(min(left, _PIECE_BYTES), decode_content=True)):
                pieces.append(piece[:left])
                left -= len(pieces[-1])
        except (exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise broken(error, self.url) from error
        self.close()
        return b"".join(pieces)

    def close(self) -> None:
        """Give the connection back when little or nothing of the body is left, else close it; idempotent."""
        left = self.response.length_remaining
        if left is not None and left <= _DRAINED_BYTES:
            # Also what is empty has to be read: only then is the connection ready for another request.
            with contextlib.suppress(exceptions.HTTPError, OSError, ValueError):
                self.response.read()
                self.response.release_conn()
                return
        self.response.close()
        self.response.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
