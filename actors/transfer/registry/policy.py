"""How patient the client is: attempts, waits and timeouts. Pure."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Callable
from dataclasses import dataclass

from config.settings import Registry
from wharfie.errors import WharfieError


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What `[registry]` of the configuration says.

    Attributes:
        attempts: how often a request is sent at most, the first time included.
        backoff_first_s: wait before the second attempt; each further one is twice as long.
        backoff_max_s: the longest wait that the client chooses.
        retry_after_max_s: the longest wait that a registry may ask for; a longer one is an error.
        connect_timeout_s: for name resolution, TCP and TLS of one address.
        idle_timeout_s: how long a registry may be silent; ten times that after the last byte of an upload, which it
            has to verify.
        upload_chunk_bytes: a larger blob is sent in pieces of this size, and resumed between them.
        max_connections: kept open to one host.
    """

    attempts: int = 5
    backoff_first_s: float = 0.25
    backoff_max_s: float = 10.0
    retry_after_max_s: float = 60.0
    connect_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0
    upload_chunk_bytes: int = 32 << 20
    max_connections: int = 16

    @classmethod
    def of(cls, settings: Registry) -> Policy:
        """The policy of a configuration."""
        return cls(
            attempts=settings.attempts,
            backoff_first_s=settings.backoff_first_s,
            backoff_max_s=settings.backoff_max_s,
            retry_after_max_s=settings.retry_after_max_s,
            connect_timeout_s=settings.connect_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            upload_chunk_bytes=settings.upload_chunk_bytes,
        )

    def wait_s(self, attempt: int, *, jitter: Callable[[], float] = random.random) -> float:
        """How long to wait after the `attempt`th one, counted from 1; a quarter of it is chance."""
        longest = min(self.backoff_first_s * 2.0 ** (attempt - 1), self.backoff_max_s)
        return longest * (0.75 + 0.25 * jitter())

    def pause_s(self, attempt: int, error: WharfieError) -> float:
        """How long to wait before the attempt after the `attempt`th: what the host asked for, else `wait_s`.

        Raises:
            WharfieError: `error`, when the host asks for more patience than there is.
        """
        wanted = error.details.get("retry_after_s")
        if wanted is None:
            return self.wait_s(attempt)
        if wanted > self.retry_after_max_s:
            raise error
        return float(wanted)


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """The wait that a `Retry-After` header asks for (RFC 9110: seconds or a date); None when there is none that holds.

    Args:
        value: of the header.
        now_s: wall clock, seconds since the epoch.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return max(0.0, at.timestamp() - now_s)
