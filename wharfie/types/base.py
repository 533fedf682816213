"""What every message is made of.

Times are integers: nanoseconds since the epoch (`*_at_ns`), so that any language can read them. Maps of labels are
string to string. A field that is missing has its default; a field that is unknown is ignored, so that older and newer
peers understand one another.
"""

from __future__ import annotations

from typing import Any

import msgspec

Labels = dict[str, str]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One typed body on the wire."""


class Empty(Message, frozen=True, kw_only=True):
    """Nothing to say; the reply of most mutating calls without a result."""


class Descriptor(Message, frozen=True, kw_only=True):
    """OCI content descriptor (image-spec, descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: Labels = {}


class Mount(Message, frozen=True, kw_only=True):
    """A mount as data: who needs it mounts it (containerd's `types.Mount`)."""

    type: str
    source: str
    target: str = ""
    options: list[str] = []


class Platform(Message, frozen=True, kw_only=True):
    """An OCI platform."""

    os: str
    architecture: str
    variant: str = ""


Json = dict[str, Any]
