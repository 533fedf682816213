"""What may be done with a snapshot: the rules of the three kinds.

Pure: each rule gets the rows that it asks about (None: there is none) and raises what is wrong, in the order in which
containerd finds it. Keys and names share one space per namespace and snapshotter.
"""

from __future__ import annotations

from typing import NamedTuple

from wharfie.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wharfie.identifiers import check_name
from wharfie.types.snapshots import Kind


class Row(NamedTuple):
    """What the rules need to know of a snapshot; `parent` is its parent's number."""

    number: int
    kind: Kind
    parent: int | None = None


class Place(NamedTuple):
    """Where the names are looked up; for sentences."""

    namespace: str
    snapshotter: str

    @property
    def resource(self) -> str:
        """What leases call the type of its snapshots."""
        return f"snapshots/{self.snapshotter}"

    def missing(self, name: str) -> NotFound:
        """The error for a name that nobody has."""
        return NotFound(
            f"snapshot '{name}' not found in namespace '{self.namespace}', snapshotter '{self.snapshotter}'",
            details={"key": name, "snapshotter": self.snapshotter},
        )

    def taken(self, name: str) -> AlreadyExists:
        """The error for a name that somebody has."""
        return AlreadyExists(
            f"snapshot '{name}' exists in namespace '{self.namespace}', snapshotter '{self.snapshotter}'",
            details={"key": name, "snapshotter": self.snapshotter},
        )


def check_create(place: Place, key: str, kind: Kind, *, taken: bool, parent_name: str, parent: Row | None) -> None:
    """Pass when `key` may become an active snapshot or a view on `parent`.

    Raises:
        InvalidArgument: no key; `kind` is committed; the parent is not committed.
        AlreadyExists: the key is taken.
        NotFound: the parent does not exist.
    """
    check_name(key, field="key")
    if kind is Kind.COMMITTED:
        raise InvalidArgument(f"snapshot '{key}' cannot be created as committed; commit it", details={"field": "kind"})
    if taken:
        raise place.taken(key)
    if not parent_name:
        return
    if parent is None:
        raise place.missing(parent_name)
    if parent.kind is not Kind.COMMITTED:
        raise InvalidArgument(
            f"parent '{parent_name}' of snapshot '{key}' is {parent.kind}, not committed; commit it first",
            details={"field": "parent"},
        )


def check_commit(
    place: Place,
    name: str,
    key: str,
    *,
    taken: bool,
    row: Row | None,
    parent_name: str,
    parent: Row | None,
) -> None:
    """Pass when the active `key` may become the committed `name`, on `parent` when one is given (a rebase).

    Raises:
        InvalidArgument: no name or key; a rebase of a snapshot that was prepared on a parent.
        AlreadyExists: the name is taken.
        NotFound: key or parent do not exist.
        FailedPrecondition: the key is not active; the parent is not committed.
    """
    check_name(name, field="name")
    check_name(key, field="key")
    if taken:
        raise place.taken(name)
    if row is None:
        raise place.missing(key)
    if row.kind is not Kind.ACTIVE:
        raise FailedPrecondition(
            f"snapshot '{key}' is {row.kind}, not active; only what was prepared can be committed",
            details={"key": key, "kind": str(row.kind)},
        )
    if not parent_name:
        return
    if row.parent is not None:
        raise InvalidArgument(
            f"snapshot '{key}' was prepared on a parent and cannot be rebased on '{parent_name}';"
            " prepare it without one",
            details={"field": "parent"},
        )
    if parent is None:
        raise place.missing(parent_name)
    if parent.kind is not Kind.COMMITTED:
        raise FailedPrecondition(
            f"parent '{parent_name}' is {parent.kind}, not committed; commit it first",
            details={"key": parent_name, "kind": str(parent.kind)},
        )


def check_remove(place: Place, key: str, *, row: Row | None, children: list[str]) -> None:
    """Pass when `key` may go.

    Raises:
        NotFound: there is none.
        FailedPrecondition: other snapshots stand on it; `details["children"]` names the first ones.
    """
    if row is None:
        raise place.missing(key)
    if children:
        raise FailedPrecondition(
            f"snapshot '{key}' has children ({', '.join(children)}); remove them first",
            details={"key": key, "children": children},
        )
