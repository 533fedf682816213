"""What an object's labels say to the garbage collector, and how objects are numbered in its graph. Pure.

The labels are containerd's. Every object of the database is one node: its row's number and its kind in one integer, so
that a set of marked nodes is a set of small integers. What a node refers to is written down by type and name, as a
lease's resources are, and need not exist.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from wharfie.types.leases import EXPIRE_LABEL

PREFIX = "containerd.io/gc."
USED_AT_LABEL = f"{PREFIX}cond.value-usedat"

CONTENT = "content"
IMAGES = "images"
INGESTS = "ingests"
CONTAINERS = "containers"
SNAPSHOTS = "snapshots/"
"""Types of resources; a snapshot's goes on with its snapshotter."""

_TYPES = {"content": CONTENT, "image": IMAGES, "container": CONTAINERS}


class Kind(IntEnum):
    """What a node is; the lowest bits of its number."""

    BLOB = 0
    SNAPSHOT = 1
    IMAGE = 2
    CONTAINER = 3
    LEASE = 4


KIND_BITS = 3
KIND_MASK = (1 << KIND_BITS) - 1


class Relation(IntEnum):
    """How a node and what a row of `refs` names belong together."""

    FORWARD = 0
    """The node keeps it."""
    ROOT = 1
    """The node is kept by itself; nothing is named."""
    BACK = 2
    """It keeps the node."""
    CONDITION = 3
    """The node keeps it while a condition holds; the name is `value|condition…`, see `Condition`."""


class Reference(NamedTuple):
    """One row of `refs` without its node."""

    relation: Relation
    type: str
    name: str


def node_of(kind: Kind, number: int) -> int:
    """The node of a row."""
    return number << KIND_BITS | kind


def kind_of(node: int) -> Kind:
    """What a node is."""
    return Kind(node & KIND_MASK)


def number_of(node: int) -> int:
    """The row's number of a node."""
    return node >> KIND_BITS


def references(labels: Mapping[str, str]) -> frozenset[Reference]:
    """What labels say; labels that mean nothing here are passed over, and so are empty values."""
    found: list[Reference] = []
    for key, value in labels.items():
        if key.startswith(PREFIX) and value:
            found.extend(_parse(key.removeprefix(PREFIX), value))
    return frozenset(found)


def _parse(rest: str, value: str) -> list[Reference]:
    if rest == "root":
        return [Reference(Relation.ROOT, "", "")]
    word, dot, rest = rest.partition(".")
    if not dot:
        return []
    if word == "ref":
        return [Reference(Relation.FORWARD, kind, value) for kind in _target(rest)]
    if word == "bref":
        return [Reference(Relation.BACK, kind, value) for kind in _target(rest)]
    if word == "cond":
        return [
            Reference(Relation.CONDITION, kind, condition.strip())
            for kind in _target(rest)
            if kind.startswith(SNAPSHOTS)
            for condition in value.split(",")
        ]
    return []


def _target(rest: str) -> list[str]:
    """The type that the end of a label's key names: `content`, `content.NAME`, `snapshot.overlayfs/NAME`."""
    for word, kind in _TYPES.items():
        if rest == word or (rest.startswith(word) and rest[len(word)] in "./"):
            return [kind]
    if rest.startswith("snapshot."):
        snapshotter = rest.removeprefix("snapshot.").replace("/", ".").partition(".")[0]
        return [f"{SNAPSHOTS}{snapshotter}"] if snapshotter else []
    return []


class Condition(NamedTuple):
    """`usedat<DURATION|KEY` or `usedat>DURATION|KEY`: a snapshot that was used less, or more, than so long ago."""

    younger: bool
    age_ns: int
    key: str

    def holds(self, used_at: str, *, now_ns: int) -> bool:
        """Whether a snapshot whose label says `used_at` meets it; one that says nothing readable does not."""
        at_ns = time_ns(used_at)
        if at_ns is None:
            return False
        age_ns = now_ns - at_ns
        return age_ns < self.age_ns if self.younger else age_ns > self.age_ns


_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def condition_of(text: str) -> Condition | None:
    """A condition from its text; None when it is none."""
    comparison, bar, key = text.partition("|")
    if not bar or not key or comparison[:7] not in ("usedat<", "usedat>"):
        return None
    age_ns = _duration_ns(comparison[7:])
    return None if age_ns is None else Condition(comparison[6] == "<", age_ns, key)


def _duration_ns(text: str) -> int | None:
    """A duration as Go writes it: numbers with units, such as `1h30m`."""
    total = 0.0
    rest = text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = rest[digits:]
        unit = unit[: len(unit) - len(unit.lstrip("nuµmsh"))]
        # Units run together with no number between them: the longest that there is.
        while unit and unit not in _UNITS_NS:
            unit = unit[:-1]
        if not unit or not digits:
            return None
        try:
            total += float(rest[:digits]) * _UNITS_NS[unit]
        except ValueError:
            return None
        rest = rest[digits + len(unit) :]
    return int(total) if text else None


LAST_NS = (1 << 63) - 1
"""The last time that a column can hold."""


def expires_ns(labels: Mapping[str, str]) -> int | None:
    """When labels let their object go, ns since the epoch; None is never, also for what is no time.

    A time that a column cannot hold (before 1678, after 2261) is the first or the last one that it can.
    """
    at_ns = time_ns(labels.get(EXPIRE_LABEL, ""))
    return None if at_ns is None else max(-LAST_NS, min(at_ns, LAST_NS))


def time_ns(text: str) -> int | None:
    """A time of RFC 3339 as ns since the epoch; None when it is none."""
    if not text:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    since = at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def rfc3339(at_ns: int) -> str:
    """Nanoseconds since the epoch as a time of RFC 3339, to the second."""
    return dt.datetime.fromtimestamp(at_ns // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
