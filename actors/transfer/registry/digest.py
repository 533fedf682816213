"""Digests of bytes in memory, checked. Pure."""

from __future__ import annotations

import hashlib

from wharfie.errors import DataLoss
from wharfie.identifiers import is_digest

DEFAULT_ALGORITHM = "sha256"


def digest_of(data: bytes, *, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """`sha256:…` of the bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def check(data: bytes, digest: str, *, what: str, host: str) -> None:
    """Pass when the bytes have this digest.

    Raises:
        DataLoss: they have another one; names both, the object and the host.
    """
    found = digest_of(data, algorithm=algorithm_of(digest))
    if found != digest:
        raise mismatch(found, digest, what=what, host=host)


def mismatch(found: str, wanted: str, *, what: str, host: str) -> DataLoss:
    """The error for one digest in another's place."""
    return DataLoss(
        f"{what} from registry '{host}' has the digest {found}, not {wanted}; the registry or what stands before it is "
        "damaged",
        details={"reason": "registry_digest", "host": host, "expected": wanted, "actual": found},
    )


def check_told(told: str, digest: str, *, what: str, host: str) -> None:
    """Pass when a header names this digest, none, or one of another algorithm, which says nothing of this one.

    Raises:
        DataLoss: it names another one.
    """
    if told and told != digest and algorithm_of(told) == algorithm_of(digest):
        raise mismatch(told, digest, what=what, host=host)


def algorithm_of(digest: str) -> str:
    """`sha256`, `sha384` or `sha512`."""
    return digest.partition(":")[0]


def valid_or_empty(value: str | None) -> str:
    """The digest in a header; empty when there is none that can be used."""
    text = (value or "").strip()
    return text if is_digest(text) else ""
