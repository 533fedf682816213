"""Containers: the record of what is to be run. A task (see `tasks`) is its running process."""

from __future__ import annotations

from wharfie.types.base import Json, Labels, Message


class Runtime(Message, frozen=True, kw_only=True):
    """Which runtime runs it, and that runtime's options (containerd's runc options)."""

    name: str = "io.containerd.runc.v2"
    options: Json = {}


class Container(Message, frozen=True, kw_only=True):
    """A container's record. `spec` is the OCI runtime configuration (config.json) as a map."""

    id: str
    image: str = ""
    labels: Labels = {}
    runtime: Runtime = Runtime()
    spec: Json = {}
    snapshotter: str = ""
    snapshot_key: str = ""
    created_at_ns: int = 0
    updated_at_ns: int = 0
    extensions: Json = {}
    sandbox: str = ""


class Get(Message, frozen=True, kw_only=True):
    """`containers.get`."""

    id: str


class List(Message, frozen=True, kw_only=True):
    """`containers.list`: filters on `id, image, runtime.name, labels.K`, any of them may match.

    `without_spec` leaves out the (large) specs and extensions: what a table needs.
    """

    filters: list[str] = []
    without_spec: bool = False


class Listing(Message, frozen=True, kw_only=True):
    """Reply of `containers.list`, by id."""

    containers: list[Container]


class Create(Message, frozen=True, kw_only=True):
    """`containers.create`: id, runtime name and spec are mandatory; the server sets the times."""

    container: Container


class Update(Message, frozen=True, kw_only=True):
    """`containers.update`: mask paths `labels, labels.K, spec, extensions, extensions.K, image, snapshot_key`."""

    container: Container
    mask: list[str] = []


class Delete(Message, frozen=True, kw_only=True):
    """`containers.delete`: removes the record; `failed_precondition` while it has a task is the client's check."""

    id: str
