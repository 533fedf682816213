"""The differ: what differs between two trees, told or made a layer, and layers applied to trees. Each in a job.

A snapshot that is not being written is looked at through a view, made for the time and removed; its key is that of a
snapshot in the making (see `unpacker.py`), so that one whose worker died is removed too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import msgspec

from actors import internal
from actors.jobs import KILLED, Jobs
from actors.snapshot.idmaps import GID_LABEL, UID_LABEL
from actors.transfer import targets
from actors.transfer.blobs import UNCOMPRESSED
from actors.transfer.diff.messages import Compared, CompareJob
from actors.transfer.diff.sides import Sides, below, sides
from actors.transfer.diff.sink import Compression
from actors.transfer.job import UnpackedLayer, UnpackJob
from actors.transfer.layerjobs import REBASING
from actors.transfer.operations import Report
from actors.transfer.resolver import Resolver
from actors.transfer.source import proc_path
from actors.transfer.unpacker import PREFIX
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie import failpoint
from wharfie.errors import Aborted, InvalidArgument, NotFound, Unimplemented
from wharfie.identifiers import check_count, check_digest, check_labels
from wharfie.oci import descriptor as oci
from wharfie.types import diff, snapshots
from wharfie.types.base import Descriptor, Empty, Labels, Mount
from wharfie.types.transfer import Progress

_COMPRESSIONS = {
    oci.MEDIA_TYPE_LAYER: Compression.NONE,
    oci.MEDIA_TYPE_LAYER_GZIP: Compression.GZIP,
    oci.MEDIA_TYPE_LAYER_ZSTD: Compression.ZSTD,
    oci.MEDIA_TYPE_DOCKER_LAYER: Compression.NONE,
    oci.MEDIA_TYPE_DOCKER_LAYER_GZIP: Compression.GZIP,
    oci.MEDIA_TYPE_DOCKER_LAYER_ZSTD: Compression.ZSTD,
}
_TRIES = 3
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Errand:
    """For whom the differ works.

    Attributes:
        key: under which the blob is registered; the same for the same errand.
        lease: holds what is made; may be empty.
    """

    namespace: str
    key: str
    lease: str
    report: Report


class Differ:
    """Compares and applies."""

    def __init__(self, worker: Worker, jobs: Jobs, *, settings: Settings, paths: Paths, token: str) -> None:
        self._worker = worker
        self._jobs = jobs
        self._settings = settings
        self._paths = paths
        self._token = token
        self._number = 0
        self._resolver = Resolver(worker, paths=paths)
        self._slots = asyncio.Semaphore(settings.transfer.max_concurrent_unpacks or os.cpu_count() or 1)

    async def create(self, errand: Errand, request: diff.Create) -> diff.Created:
        """See `wharfie.types.diff.Create`. Idempotent.

        Raises:
            InvalidArgument: not exactly one of `key` and `upper`, or mounts that cannot be made.
            NotFound: there is no such snapshot.
            Unimplemented: the media type is none of a layer that can be written.
            Aborted: the tree changed in a way that left no layer; try again.
        """
        compression = compression_of(request.media_type)
        check_labels(request.labels)
        latest_ns = None
        if request.source_date_epoch is not None:
            latest_ns = check_count(request.source_date_epoch, field="source_date_epoch") * _NANOSECONDS
        name = request.key or "layer"
        errand.report(Progress(event="comparing", name=name))
        with tempfile.TemporaryFile(dir=self._paths.temp or self._paths.root) as file:

            def progress(done: int) -> None:
                errand.report(Progress(event="comparing", name=name, done=done))

            async with self._sides(errand, request) as found:
                job = self._job(found, compression=compression, latest_ns=latest_ns)
                compared = await self._compare(job, file.fileno(), progress)
            errand.report(Progress(event="layer", name=compared.digest, total=compared.size))
            await self._ingest(errand, compared, proc_path(file.fileno()), request)
        failpoint.hit("transfer.diff.ingested")
        errand.report(Progress(event="layer", name=compared.digest, done=compared.size, total=compared.size))
        return diff.Created(
            descriptor=Descriptor(media_type=request.media_type, digest=compared.digest, size=compared.size),
            diff_id=compared.diff_id,
            diff_size=compared.diff_size,
        )

    async def changes(self, errand: Errand, request: diff.GetChanges) -> list[diff.Change]:
        """What differs. Raises as `create`."""
        async with self._sides(errand, request) as found:
            compared = await self._compare(self._job(found), None, None)
        return [
            diff.Change(kind=change.kind, path="/" + change.path.decode("utf-8", "backslashreplace"))
            for change in compared.changes
        ]

    async def apply(self, errand: Errand, request: diff.Apply) -> diff.Applied:
        """See `wharfie.types.diff.Apply`.

        Raises:
            InvalidArgument: not exactly one of `key` and `mounts`; the archive is malformed.
            NotFound: the blob or the snapshot is not there.
            WharfieError: what the layer is refused for.
        """
        if bool(request.key) == bool(request.mounts):
            raise InvalidArgument("exactly one of 'key' and 'mounts' names the tree", details={"field": "key"})
        digest = check_digest(request.descriptor.digest)
        await self._resolver.named(errand.namespace, digest)
        mounts, alone = request.mounts, ""
        if request.key:
            mounts = await self._mounts(errand, request.key, request.snapshotter)
            alone = await self._alone(errand, request, mounts)
        source, offset, length = self._resolver.open_blob(digest)
        fds = [source]
        try:
            if alone:
                fds.append(os.open(alone, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))

            def progress(done: int) -> None:
                errand.report(Progress(event="unpacking", name=digest, done=done, total=length))

            progress(0)
            limits = self._settings.transfer
            job = UnpackJob(
                offset=offset,
                length=length,
                media_type=request.descriptor.media_type,
                overlay=bool(alone),
                max_bytes=limits.max_unpacked_bytes,
                max_entries=limits.max_entries,
                max_ratio=limits.max_ratio,
                mounts=[] if alone else list(mounts),
                place=self._paths.temporary_mounts,
                sync=request.sync,
            )
            async with self._slots:
                unpacked = await self._jobs.run(
                    "actors.transfer.job:unpack",
                    job,
                    UnpackedLayer,
                    name="unpack",
                    fds=fds,
                    progress=progress,
                )
        finally:
            for fd in fds:
                os.close(fd)
        return diff.Applied(
            descriptor=Descriptor(media_type=oci.MEDIA_TYPE_LAYER, digest=unpacked.diff_id, size=unpacked.size)
        )

    async def _alone(self, errand: Errand, request: diff.Apply, mounts: Sequence[Mount]) -> str:
        """The directory of a snapshot that has no parent and may be put on one when it is committed.

        What a layer deletes there is written down, for the parent that it will have. Empty for any other snapshot.
        """
        stat = snapshots.Stat(key=request.key, snapshotter=request.snapshotter)
        info = await self._worker.call("snapshots.stat", stat, snapshots.Info, namespace=errand.namespace)
        if info.parent or info.snapshotter not in REBASING:
            return ""
        return targets.of(mounts, rebases=True).directory

    # -- jobs --------------------------------------------------------------------------------------------------------

    def _job(
        self, found: Sides, *, compression: Compression = Compression.NONE, latest_ns: int | None = None
    ) -> CompareJob:
        return CompareJob(sides=found, place=self._paths.temporary_mounts, compression=compression, latest_ns=latest_ns)

    async def _compare(self, job: CompareJob, fd: int | None, progress: Callable[[int], None] | None) -> Compared:
        """Run the job, again when somebody kills it, and once more over both trees when one does not tell it all."""
        for attempt in range(_TRIES):
            if fd is not None:
                os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
            try:
                async with self._slots:
                    compared = await self._jobs.run(
                        "actors.transfer.diff.job:compare",
                        job,
                        Compared,
                        name="diff",
                        fds=[] if fd is None else [fd],
                        progress=progress,
                    )
            except Aborted as error:
                if error.details.get("reason") != KILLED or attempt == _TRIES - 1:
                    raise
                continue
            if not compared.needs_merge:
                break
            job = msgspec.structs.replace(job, sides=job.sides.merged())
        return compared

    async def _ingest(self, errand: Errand, compared: Compared, path: str, request: diff.Create) -> None:
        await self._worker.call(
            "content.ingest_file",
            internal.IngestFile(
                path=path,
                offset=0,
                length=compared.size,
                digest=compared.digest,
                labels={**request.labels, UNCOMPRESSED: compared.diff_id},
            ),
            internal.Ingested,
            namespace=errand.namespace,
            # Not the key of an earlier incarnation: who joined its request would get the failure of its path.
            key=f"{errand.key}/{compared.digest}/{path}",
            lease=errand.lease,
            timeout_s=None,
        )

    # -- trees -------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _sides(self, errand: Errand, request: diff.Create | diff.GetChanges) -> AsyncIterator[Sides]:
        """The trees to compare, with views where they are needed."""
        if bool(request.key) == bool(request.upper) or (request.key and request.lower):
            raise InvalidArgument(
                "either 'key' names a snapshot, or 'upper' (and 'lower') the mounts of trees", details={"field": "key"}
            )
        if request.upper:
            yield sides(request.lower, request.upper)
            return
        async with contextlib.AsyncExitStack() as views:
            stat = snapshots.Stat(key=request.key, snapshotter=request.snapshotter)
            info = await self._worker.call("snapshots.stat", stat, snapshots.Info, namespace=errand.namespace)
            is_committed = info.kind is snapshots.Kind.COMMITTED
            mapped: Labels = {}
            upper: Sequence[Mount]
            if is_committed:
                upper = await views.enter_async_context(self._view(errand, info.name, info.snapshotter))
            else:
                mapped = {label: info.labels[label] for label in (UID_LABEL, GID_LABEL) if label in info.labels}
                upper = await self._mounts(errand, info.name, info.snapshotter)
            lower: Sequence[Mount] = []
            if info.parent:
                known = below(upper, committed=is_committed)
                if known is None:
                    known = await views.enter_async_context(
                        self._view(errand, info.parent, info.snapshotter, labels=mapped)
                    )
                lower = known
            found = sides(lower, upper, related=bool(info.parent))
            # What a snapshotter has copied for its mapping has no mount that tells of it.
            yield msgspec.structs.replace(found, uids=mapped.get(UID_LABEL, ""), gids=mapped.get(GID_LABEL, ""))

    async def _mounts(self, errand: Errand, key: str, snapshotter: str) -> list[Mount]:
        get = snapshots.GetMounts(key=key, snapshotter=snapshotter)
        return (await self._worker.call("snapshots.mounts", get, snapshots.Mounts, namespace=errand.namespace)).mounts

    @contextlib.asynccontextmanager
    async def _view(
        self, errand: Errand, parent: str, snapshotter: str, *, labels: Labels | None = None
    ) -> AsyncIterator[list[Mount]]:
        self._number += 1
        key = f"{PREFIX}{self._token}-view-{self._number} {parent}"
        view = snapshots.View(key=key, parent=parent, snapshotter=snapshotter, labels=labels or {})
        try:
            mounts = await self._worker.call(
                "snapshots.view",
                view,
                snapshots.Mounts,
                namespace=errand.namespace,
                key=f"{key}/view",
                lease=errand.lease,
                timeout_s=None,
            )
            yield mounts.mounts
        finally:
            await asyncio.shield(self._worker.spawn(self._remove(errand.namespace, key, snapshotter)))

    async def _remove(self, namespace: str, key: str, snapshotter: str) -> None:
        remove = snapshots.Remove(key=key, snapshotter=snapshotter)
        with contextlib.suppress(NotFound):
            await self._worker.call(
                "snapshots.remove", remove, Empty, namespace=namespace, key=f"{key}/remove", timeout_s=None
            )


def compression_of(media_type: str) -> Compression:
    """What a layer of this media type is compressed with. Pure.

    Raises:
        Unimplemented: layers of this type are not made here.
    """
    found = _COMPRESSIONS.get(media_type)
    if found is None:
        raise Unimplemented(
            f"layers of media type '{media_type[:128]}' cannot be made; OCI's plain, gzip and zstd tars can",
            details={"field": "media_type"},
        )
    return found
