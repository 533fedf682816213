"""Leases: what keeps content, snapshots, ingests and images from the garbage collector while nothing names them.

A request whose header has the key `lease` adds what it creates to that lease. Two labels of a lease mean something:
`containerd.io/gc.expire` is the time (RFC 3339) at which it goes by itself, and `containerd.io/gc.flat`, whatever its
value, has it hold what it names and not what that refers to.
"""

from __future__ import annotations

from wharfie.types.base import Labels, Message

EXPIRE_LABEL = "containerd.io/gc.expire"
FLAT_LABEL = "containerd.io/gc.flat"


class Lease(Message, frozen=True, kw_only=True):
    """A lease and its labels."""

    id: str
    labels: Labels = {}
    created_at_ns: int = 0
    updated_at_ns: int = 0


class Resource(Message, frozen=True, kw_only=True):
    """What a lease holds; it need not exist.

    `type` is `content` (`id` is a digest), `ingests` (a ref), `images` (a name) or `snapshots/SNAPSHOTTER` (a key).
    """

    type: str
    id: str


class Get(Message, frozen=True, kw_only=True):
    """`leases.get`."""

    id: str


class List(Message, frozen=True, kw_only=True):
    """`leases.list`: filters on `id, labels.K`."""

    filters: list[str] = []


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `leases.list`, by id."""

    leases: list[Lease]


class Create(Message, frozen=True, kw_only=True):
    """`leases.create`: an empty id gets a random one; `already_exists` when it is taken."""

    id: str = ""
    labels: Labels = {}


class Update(Message, frozen=True, kw_only=True):
    """`leases.update`: labels, such as a later expiry; mask paths `labels, labels.K`; an empty value deletes."""

    id: str
    labels: Labels = {}
    mask: list[str] = []


class Delete(Message, frozen=True, kw_only=True):
    """`leases.delete`: what only it held is garbage; with `sync` it is collected before the answer."""

    id: str
    sync: bool = False


class AddResource(Message, frozen=True, kw_only=True):
    """`leases.add_resource`: idempotent; the resource need not exist."""

    id: str
    resource: Resource


class DeleteResource(Message, frozen=True, kw_only=True):
    """`leases.delete_resource`: idempotent."""

    id: str
    resource: Resource


class ListResources(Message, frozen=True, kw_only=True):
    """`leases.resources`."""

    id: str


class Resources(Message, frozen=True, kw_only=True):
    """Reply of `leases.resources`, by type and id."""

    resources: list[Resource]
