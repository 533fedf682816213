"""Update masks: which fields of an object an update changes.

Pure. A path names a field (`labels`) or one entry of a map (`labels.K`; K is all that follows the first dot, dots
included). In maps of texts an empty value deletes its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from wharfie.errors import InvalidArgument

V = TypeVar("V")


class Path(NamedTuple):
    """A field, and the key in it; an empty key is the whole field."""

    field: str
    key: str = ""


class Fields(NamedTuple):
    """What may be updated of a kind of object.

    Attributes:
        noun: for error sentences.
        whole: fields that a path may name.
        entries: maps of which a path may name an entry.
        default: the paths of an empty mask.
    """

    noun: str
    whole: frozenset[str]
    entries: frozenset[str]
    default: tuple[Path, ...]


def parse(mask: Sequence[str], fields: Fields) -> tuple[Path, ...]:
    """The paths of a mask, in its order.

    Raises:
        InvalidArgument: a path that cannot be updated; `details["path"]` is it.
    """
    if not mask:
        return fields.default
    paths = []
    for text in mask:
        field, dot, key = text.partition(".")
        if not (field in fields.entries and key if dot else field in fields.whole):
            known = ", ".join([*sorted(fields.whole), *(f"{name}.KEY" for name in sorted(fields.entries))])
            raise InvalidArgument(
                f"mask path '{text[:64]}' of {fields.noun} cannot be updated; use {known}",
                details={"field": "mask", "path": text[:64]},
            )
        paths.append(Path(field, key))
    return tuple(paths)


def merged(current: Mapping[str, str], wanted: Mapping[str, str], key: str) -> dict[str, str]:
    """Labels or annotations after one path: all of `wanted` instead, or one key of it; empty values are left out."""
    if not key:
        return present(wanted)
    return present({**current, key: wanted.get(key, "")})


def present(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels without those that have an empty value: writing an empty value is deleting."""
    return {key: value for key, value in labels.items() if value}


def merged_values(current: Mapping[str, Any], wanted: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A map of any values after one path; a key that `wanted` lacks is deleted."""
    if not key:
        return dict(wanted)
    rest = {name: value for name, value in current.items() if name != key}
    return {**rest, key: wanted[key]} if key in wanted else rest
