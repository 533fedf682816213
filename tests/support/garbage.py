"""Things for the collector: made so that nothing holds them, in a metadata worker's services in process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.call import Call
from actors.internal import BlobRegister, BlobRegistered, SnapshotCommit
from tests.support.metadata import Services
from wharfie.protocol import Routed
from wharfie.types import containers, content, gc, images, leases, snapshots
from wharfie.types.base import Descriptor, Empty

GC = "containerd.io/gc."


def digest(name: str) -> str:
    """One that tells its name."""
    return f"sha256:{name.encode().hex():0>64}"


class World:
    """Makes things that nothing holds: all under one lease, which `collect` gives up first."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.store = services.store
        self.scratch = leases.Delete(id="scratch")
        self._scratch()

    def handle(self, method: str, request: msgspec.Struct) -> Any:
        """What a handler returns, be it an answer or a coroutine."""
        return self.services.handlers[method](Call(Routed(id=1, method=method, namespace="ci")), request)

    def _scratch(self) -> None:
        self.services.call("leases.create", leases.Create(id="scratch"), leases.Lease)

    def blob(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        request = BlobRegister(digest=digest(name), size=1, labels=dict(labels or {}))
        self.services.call("metadata.blob_register", request, BlobRegistered, lease="scratch")
        return digest(name)

    def snapshot(self, key: str, parent: str = "", labels: Mapping[str, str] | None = None) -> None:
        """A committed one."""
        request = snapshots.Prepare(key=f"{key}-active", parent=parent, snapshotter="native")
        self.services.handle("snapshots.prepare", request, lease="scratch")
        commit = SnapshotCommit(
            name=key, key=f"{key}-active", snapshotter="native", size=1, inodes=1, labels=dict(labels or {})
        )
        self.services.call("metadata.snapshot_commit", commit, Empty, lease="scratch")

    def image(self, name: str, target: str, labels: Mapping[str, str] | None = None) -> None:
        descriptor = Descriptor(media_type="a/b", digest=target, size=1)
        image = images.Image(name=name, target=descriptor, labels=dict(labels or {}))
        self.services.call("images.create", images.Create(image=image), images.Image)

    def container(self, name: str, key: str = "", labels: Mapping[str, str] | None = None) -> None:
        container = containers.Container(
            id=name, spec={"x": 1}, snapshotter="native", snapshot_key=key, labels=dict(labels or {})
        )
        self.services.call("containers.create", containers.Create(container=container), containers.Container)

    def lease(self, name: str, *resources: tuple[str, str], labels: Mapping[str, str] | None = None) -> None:
        self.services.call("leases.create", leases.Create(id=name, labels=dict(labels or {})), leases.Lease)
        for kind, resource in resources:
            request = leases.AddResource(id=name, resource=leases.Resource(type=kind, id=resource))
            self.services.call("leases.add_resource", request, Empty)

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        request = content.Update(digest=digest(name), labels=dict(labels))
        self.services.call("content.update", request, content.Info)

    def collect(self) -> gc.Collected:
        self.services.call("leases.delete", self.scratch, Empty)
        collected = self.services.collect()
        self._scratch()
        return collected

    def blobs(self) -> set[str]:
        """The names of those that are left."""
        rows = self.store.read("SELECT digest FROM blobs")
        return {bytes.fromhex(name.removeprefix("sha256:").lstrip("0")).decode() for (name,) in rows}

    def snapshots(self) -> set[str]:
        return {name for (name,) in self.store.read("SELECT name FROM snapshots")}

    def images(self) -> set[str]:
        return {name for (name,) in self.store.read("SELECT name FROM images")}
