"""Namespaces: the tenants of a daemon. Any create in a namespace makes it; it can only be deleted when empty."""

from __future__ import annotations

from wharfie.types.base import Labels, Message


class Namespace(Message, frozen=True, kw_only=True):
    """A namespace and its labels."""

    name: str
    labels: Labels = {}
    created_at_ns: int = 0


class Get(Message, frozen=True, kw_only=True):
    """`namespaces.get`: never `not_found`; an unknown name has no labels (containerd's rule)."""

    name: str


class List(Message, frozen=True, kw_only=True):
    """`namespaces.list`."""

    filters: list[str] = []


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `namespaces.list`, by name."""

    namespaces: list[Namespace]


class Create(Message, frozen=True, kw_only=True):
    """`namespaces.create`: `already_exists` when it is there."""

    name: str
    labels: Labels = {}


class Update(Message, frozen=True, kw_only=True):
    """`namespaces.update`: with an empty mask the labels are replaced; with paths `labels.K` only those change."""

    name: str
    labels: Labels = {}
    mask: list[str] = []


class Delete(Message, frozen=True, kw_only=True):
    """`namespaces.delete`: `failed_precondition` while anything lives in it, with what is left in the details."""

    name: str
