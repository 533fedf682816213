"""The rules of the three kinds as a matrix: every kind, every state of name and parent."""

from __future__ import annotations

import itertools

import pytest

from actors.metadata import snapshotrules
from actors.metadata.snapshotrules import Place, Row
from wharfie.errors import Code, WharfieError
from wharfie.types.snapshots import Kind

PLACE = Place("ci", "overlayfs")
ROWS = {kind: Row(1, kind) for kind in Kind}


def code_of(function: object, *args: object, **kwargs: object) -> Code | None:
    found: Code | None = None
    try:
        function(*args, **kwargs)  # type: ignore[operator]
    except WharfieError as error:
        found = error.code
    return found


def expected_create(key: str, kind: Kind, taken: bool, parent_name: str, parent: Row | None) -> Code | None:
    if not key or kind is Kind.COMMITTED:
        return Code.INVALID_ARGUMENT
    if taken:
        return Code.ALREADY_EXISTS
    if not parent_name:
        return None
    if parent is None:
        return Code.NOT_FOUND
    return None if parent.kind is Kind.COMMITTED else Code.INVALID_ARGUMENT


def test_create() -> None:
    parents = [("", None), ("p", None), *(("p", row) for row in ROWS.values())]
    for key, kind, taken, (name, parent) in itertools.product(["k", ""], Kind, [False, True], parents):
        found = code_of(snapshotrules.check_create, PLACE, key, kind, taken=taken, parent_name=name, parent=parent)
        assert found == expected_create(key, kind, taken, name, parent), (key, kind, taken, name, parent)


def expected_commit(
    name: str, key: str, taken: bool, row: Row | None, parent_name: str, parent: Row | None
) -> Code | None:
    if not name or not key:
        return Code.INVALID_ARGUMENT
    if taken:
        return Code.ALREADY_EXISTS
    if row is None:
        return Code.NOT_FOUND
    if row.kind is not Kind.ACTIVE:
        return Code.FAILED_PRECONDITION
    if not parent_name:
        return None
    if row.parent is not None:
        return Code.INVALID_ARGUMENT
    if parent is None:
        return Code.NOT_FOUND
    return None if parent.kind is Kind.COMMITTED else Code.FAILED_PRECONDITION


def test_commit() -> None:
    parents = [("", None), ("p", None), *(("p", row) for row in ROWS.values())]
    rows = [None, *ROWS.values(), Row(2, Kind.ACTIVE, parent=1)]
    cases = itertools.product(["n", ""], ["k", ""], [False, True], rows, parents)
    for name, key, taken, row, (parent_name, parent) in cases:
        found = code_of(
            snapshotrules.check_commit,
            PLACE,
            name,
            key,
            taken=taken,
            row=row,
            parent_name=parent_name,
            parent=parent,
        )
        assert found == expected_commit(name, key, taken, row, parent_name, parent), (name, key, taken, row)


def test_the_same_fault_of_a_parent_has_another_code_at_prepare_than_at_commit() -> None:
    active = Row(1, Kind.ACTIVE)
    prepare = code_of(snapshotrules.check_create, PLACE, "k", Kind.ACTIVE, taken=False, parent_name="p", parent=active)
    rebase = code_of(
        snapshotrules.check_commit, PLACE, "n", "k", taken=False, row=active, parent_name="p", parent=active
    )
    assert (prepare, rebase) == (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION)


@pytest.mark.parametrize(
    ("row", "children", "expected"),
    [
        (None, [], Code.NOT_FOUND),
        (ROWS[Kind.COMMITTED], [], None),
        (ROWS[Kind.ACTIVE], [], None),
        (ROWS[Kind.VIEW], [], None),
        (ROWS[Kind.COMMITTED], ["child"], Code.FAILED_PRECONDITION),
    ],
)
def test_remove(row: Row | None, children: list[str], expected: Code | None) -> None:
    assert code_of(snapshotrules.check_remove, PLACE, "k", row=row, children=children) == expected
