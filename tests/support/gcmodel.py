"""What a garbage collector must keep, as a few sets: the model that the real one is held against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

GC = "containerd.io/gc."
SNAPSHOTS = "snapshots/native"

Name = tuple[str, str]
"""Type and name, as of a lease's resources; further types are `containers` and `leases`."""


@dataclass
class Thing:
    """One object: what it names by labels, what by its own fields, and what makes it a root."""

    refs: frozenset[Name] = frozenset()
    backs: frozenset[Name] = frozenset()
    fields: frozenset[Name] = frozenset()
    is_root: bool = False
    is_flat: bool = False
    expires_ns: int | None = None


@dataclass
class Model:
    """All objects of a namespace."""

    things: dict[Name, Thing] = field(default_factory=dict)
    now_ns: int = 0

    def _is_root(self, name: Name, thing: Thing) -> bool:
        if name[0] in ("images", "leases"):
            return thing.expires_ns is None or thing.expires_ns > self.now_ns
        return thing.is_root or name[0] == "containers"

    def kept(self) -> set[Name]:
        """Everything that a root leads to."""
        full, flat = self.reached()
        return full | flat

    def reached(self) -> tuple[set[Name], set[Name]]:
        """What is kept with all that it refers to, and what is kept by a flat lease alone or as well."""
        full: set[Name] = set()
        flat: set[Name] = set()
        waiting = [(name, False) for name, thing in self.things.items() if self._is_root(name, thing)]
        while waiting:
            name, only_flat = waiting.pop()
            thing = self.things.get(name)
            if thing is None or name in full or (only_flat and name in flat):
                continue
            (flat if only_flat else full).add(name)
            if only_flat:
                waiting += [(target, True) for target in thing.fields if name[0] != "leases"]
                continue
            below_flat = name[0] == "leases" and thing.is_flat
            waiting += [(target, below_flat) for target in (*thing.fields, *thing.refs)]
            waiting += [(other, False) for other, held in self.things.items() if name in held.backs]
        return full, flat

    def gone(self, there: Iterable[Name], *, at_once: bool = True) -> set[Name]:
        """Hold what is there against what must be; forget what was collected.

        Args:
            there: all that was found.
            at_once: at one moment, and not one list after the other.

        Raises: AssertionError when something is missing that is kept, or that something that is left refers to.
        """
        found = set(there)
        missing = set(self.things) - found
        lost = missing & self.kept()
        assert not lost, f"collected though kept: {lost}"
        full, flat = self.reached()
        # What only a flat lease keeps may be left without what its labels name: that is what it is for.
        for name in found & set(self.things) - (flat - full):
            thing = self.things[name]
            widowed = (thing.refs | thing.fields) & missing if name[0] != "leases" else set()
            assert not (at_once and widowed), f"{name} is there without {widowed}, to which it refers"
        for name in missing:
            del self.things[name]
        return missing


def labels_of(thing: Thing) -> dict[str, str]:
    """A thing's labels."""
    labels: dict[str, str] = {}
    for prefix, names in (("ref", thing.refs), ("bref", thing.backs)):
        for number, (kind, name) in enumerate(sorted(names)):
            word = {"content": "content", "images": "image", SNAPSHOTS: "snapshot.native"}[kind]
            labels[f"{GC}{prefix}.{word}.{number}"] = name
    if thing.is_root:
        labels[f"{GC}root"] = "yes"
    if thing.is_flat:
        labels[f"{GC}flat"] = "yes"
    if thing.expires_ns is not None:
        labels[f"{GC}expire"] = rfc3339(thing.expires_ns)
    return labels


def rfc3339(at_ns: int) -> str:
    """A time as labels have it, to the microsecond."""
    import datetime as dt

    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=at_ns // 1000)
    return at.isoformat().replace("+00:00", "Z")
