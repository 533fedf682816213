"""`client.diff`: the difference of two trees as a layer, and a layer applied to a tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from wharfie._async.base import Service
from wharfie.types import diff as t
from wharfie.types.base import Descriptor, Mount
from wharfie.types.transfer import Progress

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class Diff(Service):
    """Differences of snapshots and other trees of files."""

    async def create(
        self,
        key: str = "",
        *,
        lower: Sequence[Mount] = (),
        upper: Sequence[Mount] = (),
        snapshotter: str = "",
        media_type: str = GZIP,
        labels: Mapping[str, str] | None = None,
        source_date_epoch: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> t.Created:
        """A layer in the content store of what differs; see `wharfie.types.diff.Create`.

        Args:
            key: a snapshot, compared with its parent; else `upper` is compared with `lower`.
            lower: mounts of the tree before.
            upper: mounts of the tree after.
            snapshotter: of `key`; empty is the daemon's default.
            media_type: of the layer.
            labels: of the blob.
            source_date_epoch: seconds; no time in the layer is after it.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: there is no such snapshot.
        """
        request = t.Create(
            key=key,
            lower=[*lower],
            upper=[*upper],
            snapshotter=snapshotter,
            media_type=media_type,
            labels=dict(labels or {}),
            source_date_epoch=source_date_epoch,
        )
        return await self._caller.follow(
            "diff.create", request, t.Created, on_progress=on_progress, timeout_s=timeout_s
        )

    async def apply(
        self,
        descriptor: Descriptor,
        key: str = "",
        *,
        mounts: Sequence[Mount] = (),
        snapshotter: str = "",
        sync: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> Descriptor:
        """Unpack a layer onto a tree, and tell what it is as a plain tar; see `wharfie.types.diff.Apply`.

        Raises:
            NotFound: the blob or the snapshot is not there.
        """
        request = t.Apply(descriptor=descriptor, key=key, mounts=[*mounts], snapshotter=snapshotter, sync=sync)
        applied = await self._caller.follow(
            "diff.apply", request, t.Applied, on_progress=on_progress, timeout_s=timeout_s
        )
        return applied.descriptor

    async def changes(
        self,
        key: str = "",
        *,
        lower: Sequence[Mount] = (),
        upper: Sequence[Mount] = (),
        snapshotter: str = "",
        timeout_s: float | None = None,
    ) -> list[t.Change]:
        """What differs, by path: a snapshot from its parent, or `upper` from `lower`."""
        found: list[t.Change] = []
        request = t.GetChanges(key=key, lower=[*lower], upper=[*upper], snapshotter=snapshotter)
        async for item, _ in self._caller.stream(
            "diff.changes", request, t.Changes, resume=_behind, timeout_s=timeout_s
        ):
            found.extend(item.changes)
        return found


def _behind(request: t.GetChanges, item: t.Changes, _size: int) -> t.GetChanges:
    return msgspec.structs.replace(request, skip=request.skip + len(item.changes))
