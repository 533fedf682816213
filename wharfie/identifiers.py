"""What a name may look like: the rules for identifiers, labels, topics, digests and free names.

Pure. Asked at every door (router, workers, client) so that a bad name is refused before it becomes a path or a row.
The rules are containerd's, so that whatever is named there can be named here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from wharfie.errors import InvalidArgument

IDENTIFIER_MAX_LENGTH = 76
"""Leaves room for a prefix and a suffix in a file name and in a cgroup's."""

LABEL_MAX_BYTES = 4096
"""Key and value of a label together."""

NAME_MAX_BYTES = 4096
"""Image names, snapshot keys and refs: free text, but it has to end somewhere."""

INT64_MAX = (1 << 63) - 1

_SHOWN = 64
_IDENTIFIER = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")
_TYPE = r"([A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*)"
_MEDIA_TYPE = re.compile(rf"{_TYPE}/{_TYPE}(?:\s*;\s*[^\x00-\x1f\x7f]+)?")
_TYPE_MAX_LENGTH = 127


def is_identifier(value: str) -> bool:
    """Whether `value` can name a namespace, a container, an exec: 1 to 76 letters and digits, single `._-` inside."""
    return len(value) <= IDENTIFIER_MAX_LENGTH and _IDENTIFIER.fullmatch(value) is not None


def check_identifier(value: str, *, field: str) -> str:
    """Return `value` when it is an identifier.

    Raises:
        InvalidArgument: it is not; `details["field"]` is `field`.
    """
    if is_identifier(value):
        return value
    if not value:
        reason = "is empty"
    elif len(value) > IDENTIFIER_MAX_LENGTH:
        reason = f"is longer than {IDENTIFIER_MAX_LENGTH} characters"
    else:
        reason = "has other characters than letters and digits with single '.', '_' or '-' between them"
    raise InvalidArgument(f"{field} '{_shown(value)}' {reason}", details={"field": field})


@lru_cache(maxsize=256)
def check_namespace(value: str) -> str:
    """Return `value` when it names a namespace; remembered, since every request asks.

    Raises:
        InvalidArgument: it is missing or no identifier.
    """
    if not value:
        raise InvalidArgument("a namespace is required; set it in the header", details={"field": "namespace"})
    return check_identifier(value, field="namespace")


def check_labels(labels: Mapping[str, str]) -> None:
    """Pass when every label has a key and is not larger than 4096 bytes, key and value together.

    Raises:
        InvalidArgument: names the key, cut short.
    """
    for key, value in labels.items():
        if not key:
            raise InvalidArgument("a label has an empty key; name it", details={"field": "labels"})
        if len(key) + len(value) > LABEL_MAX_BYTES // 4 and len(key.encode()) + len(value.encode()) > LABEL_MAX_BYTES:
            raise InvalidArgument(
                f"label '{_shown(key)}' is larger than {LABEL_MAX_BYTES} bytes, key and value together; shorten it",
                details={"field": "labels", "key": _shown(key)},
            )


def check_topic(topic: str) -> str:
    """Return `topic` when it is `/a/b…` of identifiers.

    Raises:
        InvalidArgument: it is not.
    """
    parts = topic.split("/")
    if len(parts) < 2 or parts[0] or not all(is_identifier(part) for part in parts[1:]):
        raise InvalidArgument(
            f"topic '{_shown(topic)}' is not '/' followed by identifiers with '/' between them",
            details={"field": "topic"},
        )
    return topic


def is_digest(value: str) -> bool:
    """Whether `value` is `sha256:…`, `sha384:…` or `sha512:…` with all its digits, lower case."""
    algorithm, _, digits = value.partition(":")
    return len(digits) == _HEX_LENGTHS.get(algorithm) and _HEX.fullmatch(digits) is not None


def check_digest(value: str, *, field: str = "digest") -> str:
    """Return `value` when it is a digest of a known algorithm.

    Raises:
        InvalidArgument: it is not; `details["field"]` is `field`.
    """
    if is_digest(value):
        return value
    raise InvalidArgument(
        f"{field} '{_shown(value)}' is not a digest such as 'sha256:' and 64 hexadecimal digits",
        details={"field": field},
    )


def check_name(value: str, *, field: str) -> str:
    """Return `value` when it can name an image or a snapshot: any text of 1 to 4096 bytes without NUL.

    Raises:
        InvalidArgument: it cannot; `details["field"]` is `field`.
    """
    if not value:
        raise InvalidArgument(f"{field} is empty; name it", details={"field": field})
    if len(value) > NAME_MAX_BYTES // 4 and len(value.encode()) > NAME_MAX_BYTES:
        raise InvalidArgument(
            f"{field} '{_shown(value)}' is longer than {NAME_MAX_BYTES} bytes; shorten it", details={"field": field}
        )
    if "\0" in value:
        raise InvalidArgument(f"{field} '{_shown(value)}' has a NUL in it; take it out", details={"field": field})
    return value


def check_media_type(value: str, *, field: str) -> str:
    """Return `value` when it is `type/subtype` of RFC 6838, with or without parameters.

    Raises:
        InvalidArgument: it is not; `details["field"]` is `field`.
    """
    # The lengths are not in the expression: compiling a bounded repetition costs every process milliseconds.
    found = _MEDIA_TYPE.fullmatch(value) if len(value) <= NAME_MAX_BYTES else None
    if found is not None and all(len(part) <= _TYPE_MAX_LENGTH for part in found.groups()):
        return value
    raise InvalidArgument(
        f"{field} '{_shown(value)}' is not a media type such as 'application/vnd.oci.image.manifest.v1+json'",
        details={"field": field},
    )


def check_count(value: int, *, field: str, low: int = 0) -> int:
    """Return `value` when it is a number from `low` to 2^63 - 1, which every language and the database can hold.

    Raises:
        InvalidArgument: it is not; `details["field"]` is `field`.
    """
    if low <= value <= INT64_MAX:
        return value
    raise InvalidArgument(f"{field} is {value}; it must be from {low} to {INT64_MAX}", details={"field": field})


def _shown(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
