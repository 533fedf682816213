"""`client.snapshots`: file systems in layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wharfie._async.base import UNSET, Service
from wharfie.types import snapshots as t
from wharfie.types.base import Mount


class Snapshots(Service):
    """The snapshots of a namespace. `snapshotter` empty is the daemon's default."""

    async def prepare(
        self,
        key: str,
        parent: str = "",
        *,
        snapshotter: str = "",
        labels: Mapping[str, str] | None = None,
        timeout_s: float | None = UNSET,
    ) -> list[Mount]:
        """A writable snapshot on a committed parent (or on nothing); returns how to mount it."""
        request = t.Prepare(key=key, parent=parent, snapshotter=snapshotter, labels=dict(labels or {}))
        return (await self._caller.call("snapshots.prepare", request, t.Mounts, timeout_s=timeout_s)).mounts

    async def view(
        self,
        key: str,
        parent: str = "",
        *,
        snapshotter: str = "",
        labels: Mapping[str, str] | None = None,
        timeout_s: float | None = UNSET,
    ) -> list[Mount]:
        """A read-only snapshot on a committed parent; returns how to mount it."""
        request = t.View(key=key, parent=parent, snapshotter=snapshotter, labels=dict(labels or {}))
        return (await self._caller.call("snapshots.view", request, t.Mounts, timeout_s=timeout_s)).mounts

    async def mounts(self, key: str, *, snapshotter: str = "", timeout_s: float | None = UNSET) -> list[Mount]:
        """How to mount an active snapshot or a view."""
        request = t.GetMounts(key=key, snapshotter=snapshotter)
        return (await self._caller.call("snapshots.mounts", request, t.Mounts, timeout_s=timeout_s)).mounts

    async def commit(
        self,
        name: str,
        key: str,
        *,
        snapshotter: str = "",
        labels: Mapping[str, str] | None = None,
        parent: str = "",
        timeout_s: float | None = UNSET,
    ) -> None:
        """The active `key` becomes the committed `name`."""
        request = t.Commit(name=name, key=key, snapshotter=snapshotter, labels=dict(labels or {}), parent=parent)
        await self._caller.tell("snapshots.commit", request, timeout_s=timeout_s)

    async def remove(self, key: str, *, snapshotter: str = "", timeout_s: float | None = UNSET) -> None:
        """Remove a snapshot that has no children; unmount it first."""
        await self._caller.tell("snapshots.remove", t.Remove(key=key, snapshotter=snapshotter), timeout_s=timeout_s)

    async def stat(self, key: str, *, snapshotter: str = "", timeout_s: float | None = UNSET) -> t.Info:
        """Kind, parent, labels and times."""
        request = t.Stat(key=key, snapshotter=snapshotter)
        return await self._caller.call("snapshots.stat", request, t.Info, timeout_s=timeout_s)

    async def list(
        self, filters: Sequence[str] = (), *, snapshotter: str = "", timeout_s: float | None = UNSET
    ) -> list[t.Info]:
        """All snapshots that match any filter, by name (containerd's walk)."""
        request = t.List(snapshotter=snapshotter, filters=[*filters])
        return (await self._caller.call("snapshots.list", request, t.Listing, timeout_s=timeout_s)).snapshots

    async def update(
        self,
        key: str,
        labels: Mapping[str, str],
        *,
        mask: Sequence[str] = (),
        snapshotter: str = "",
        timeout_s: float | None = UNSET,
    ) -> t.Info:
        """Change labels; `mask` (paths `labels.K`) says which; an empty value deletes one."""
        request = t.Update(key=key, labels=dict(labels), mask=[*mask], snapshotter=snapshotter)
        return await self._caller.call("snapshots.update", request, t.Info, timeout_s=timeout_s)

    async def usage(self, key: str, *, snapshotter: str = "", timeout_s: float | None = UNSET) -> t.Usage:
        """Bytes and inodes, parents not counted."""
        request = t.GetUsage(key=key, snapshotter=snapshotter)
        return await self._caller.call("snapshots.usage", request, t.Usage, timeout_s=timeout_s)

    async def cleanup(self, *, snapshotter: str = "", timeout_s: float | None = UNSET) -> int:
        """Remove directories that no name knows; returns how many."""
        request = t.Cleanup(snapshotter=snapshotter)
        return (await self._caller.call("snapshots.cleanup", request, t.Cleaned, timeout_s=timeout_s)).removed
