"""Images: names for content."""

from __future__ import annotations

from wharfie.types.base import Descriptor, Labels, Message


class Image(Message, frozen=True, kw_only=True):
    """A name and the descriptor it stands for."""

    name: str
    target: Descriptor
    labels: Labels = {}
    created_at_ns: int = 0
    updated_at_ns: int = 0


class Get(Message, frozen=True, kw_only=True):
    """`images.get`."""

    name: str


class List(Message, frozen=True, kw_only=True):
    """`images.list`: filters on `name, target.digest, target.mediatype, labels.K, annotations.K`."""

    filters: list[str] = []


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `images.list`, by name."""

    images: list[Image]


class Create(Message, frozen=True, kw_only=True):
    """`images.create`: `already_exists` when the name is taken."""

    image: Image


class Update(Message, frozen=True, kw_only=True):
    """`images.update`: mask paths `labels, labels.K, target, annotations, annotations.K`."""

    image: Image
    mask: list[str] = []


class Delete(Message, frozen=True, kw_only=True):
    """`images.delete`: `target` guards: another digest than the stored one is `not_found`."""

    name: str
    sync: bool = False
    target: Descriptor | None = None
