"""Making an image of a container: its layer, a configuration and a manifest on top of its image's, and the name.

Everything is held by a lease until the name holds it. Every step can be repeated: a request whose worker died is made
again, and answered with the image that its first attempt named, if it came so far.
"""

from __future__ import annotations

from actors.call import Call
from actors.transfer import nextimage
from actors.transfer.blobs import manifest_labels
from actors.transfer.differ import Differ, Errand
from actors.transfer.importer import Steps
from actors.transfer.layout import check_diff_ids
from actors.transfer.leasing import leased
from actors.transfer.nextimage import Step
from actors.transfer.operations import Report
from actors.transfer.plan import NamedImage
from actors.transfer.resolver import Resolver
from actors.worker import Worker
from config.paths import Paths
from wharfie import failpoint
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.identifiers import check_count, check_labels, check_name
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.oci.chains import chain_id
from wharfie.oci.image_config import decode_image_config
from wharfie.oci.manifest import Manifest
from wharfie.types import containers, diff, images, snapshots
from wharfie.types.base import Descriptor, Labels
from wharfie.types.containers import Container
from wharfie.types.images import Image
from wharfie.types.leases import Lease
from wharfie.types.transfer import Commit, Committed

_MEDIA_TYPES = {
    "gzip": oci.MEDIA_TYPE_LAYER_GZIP,
    "zstd": oci.MEDIA_TYPE_LAYER_ZSTD,
    "none": oci.MEDIA_TYPE_LAYER,
}
_NANOSECONDS = 1_000_000_000


class Committer:
    """Makes images of containers."""

    def __init__(self, worker: Worker, differ: Differ, *, paths: Paths) -> None:
        self._worker = worker
        self._differ = differ
        self._resolver = Resolver(worker, paths=paths)

    async def run(self, call: Call, request: Commit, report: Report) -> Committed:
        """See `wharfie.types.transfer.Commit`. Idempotent under its key.

        Raises:
            NotFound: there is no such container, or its image or a blob of that is gone.
            FailedPrecondition: the container has no snapshot, or one on an image that it does not name, or its image's
                name stands for another image now.
            InvalidArgument: a change, a name, a label, the time or the compression is not one.
        """
        check_name(request.name, field="name")
        check_labels(request.labels)
        media_type = _MEDIA_TYPES.get(request.compression)
        if media_type is None:
            raise InvalidArgument(
                f"compression '{request.compression[:64]}' is unknown; gzip, zstd and none are there",
                details={"field": "compression"},
            )
        epoch_ns = None
        if request.source_date_epoch is not None:
            epoch_ns = check_count(request.source_date_epoch, field="source_date_epoch") * _NANOSECONDS
        get = containers.Get(id=request.container)
        container = await self._worker.call("containers.get", get, Container, namespace=call.namespace)
        base = await self._base(call.namespace, container)
        # Refused before the work is done.
        nextimage.config(base[1] if base else None, _step(request, container, _NO_LAYER, "", epoch_ns or 0))
        async with leased(self._worker, call) as lease:
            # The lease's time, so that a repeated request makes the same image.
            at_ns = lease.created_at_ns if epoch_ns is None else epoch_ns
            return await self._make(call, request, container, base, lease, media_type, at_ns, report)

    async def _make(
        self,
        call: Call,
        request: Commit,
        container: Container,
        base: tuple[Manifest, bytes] | None,
        lease: Lease,
        media_type: str,
        at_ns: int,
        report: Report,
    ) -> Committed:
        steps = Steps(self._worker, call)
        errand = Errand(namespace=call.namespace, key=steps.key("layer"), lease=lease.id, report=report)
        create = diff.Create(
            key=container.snapshot_key,
            snapshotter=container.snapshotter,
            media_type=media_type,
            source_date_epoch=request.source_date_epoch,
        )
        made = await self._differ.create(errand, create)
        failpoint.hit("transfer.commit.after-layer")
        layer = oci.Descriptor(media_type=media_type, digest=made.descriptor.digest, size=made.descriptor.size)
        step = _step(request, container, layer, made.diff_id, at_ns)
        config = await self._document(
            steps, lease, nextimage.config(base[1] if base else None, step), oci.MEDIA_TYPE_CONFIG, {}
        )
        before = base[0] if base else None
        labels = manifest_labels(
            config.digest, [*(one.digest for one in (before.layers if before else ())), layer.digest]
        )
        manifest = await self._document(
            steps,
            lease,
            nextimage.manifest(before, config=config, layer=layer),
            oci.MEDIA_TYPE_MANIFEST,
            labels,
        )
        target = Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=manifest.size)
        failpoint.hit("transfer.commit.before-name")
        named = await steps.name(0, NamedImage(name=request.name, target=target), request.labels, report)
        failpoint.hit("transfer.commit.after-name")
        return Committed(image=named, layer=made.descriptor, diff_id=made.diff_id)

    async def _base(self, namespace: str, container: Container) -> tuple[Manifest, bytes] | None:
        """Manifest and configuration of the container's image; None when it was made without one."""
        if not container.snapshot_key:
            raise FailedPrecondition(
                f"container '{container.id}' has no snapshot, so nothing of it can be committed",
                details={"container": container.id},
            )
        stat = snapshots.Stat(key=container.snapshot_key, snapshotter=container.snapshotter)
        snapshot = await self._worker.call("snapshots.stat", stat, snapshots.Info, namespace=namespace)
        if not container.image:
            if not snapshot.parent:
                return None
            raise FailedPrecondition(
                f"container '{container.id}' names no image, but its snapshot lies on one;"
                " make a layer of it by 'diff.create'",
                details={"container": container.id},
            )
        name = container.image
        try:
            image = await self._worker.call("images.get", images.Get(name=name), Image, namespace=namespace)
        except NotFound:
            raise NotFound(
                f"image '{name}' of container '{container.id}' not found; give its content that name again",
                details={"image": name},
            ) from None
        manifest, data = await self._resolver.documents(
            namespace, image.target, name=name, platform=platforms.parse("")
        )
        diff_ids = check_diff_ids(decode_image_config(data), manifest=image.target.digest, layers=len(manifest.layers))
        if chain_id(diff_ids) != snapshot.parent:
            raise FailedPrecondition(
                f"image '{name}' is not the one that container '{container.id}' was made from;"
                " give that one the name again",
                details={"image": name, "container": container.id},
            )
        for one in manifest.layers:
            await self._resolver.named(namespace, one.digest)
        return manifest, data

    async def _document(
        self, steps: Steps, lease: Lease, data: bytes, media_type: str, labels: Labels
    ) -> oci.Descriptor:
        """Take a document in as a blob."""
        digest = await steps.ingest_document(data, labels=labels, lease=lease.id)
        return oci.Descriptor(media_type=media_type, digest=digest, size=len(data))


_NO_LAYER = oci.Descriptor(media_type="", digest="", size=0)


def _step(request: Commit, container: Container, layer: oci.Descriptor, diff_id: str, at_ns: int) -> Step:
    process = container.spec.get("process")
    args = process.get("args") if isinstance(process, dict) else None
    return Step(
        layer=layer,
        diff_id=diff_id,
        created_at_ns=at_ns,
        created_by=" ".join(str(arg) for arg in args) if isinstance(args, list) else "",
        author=request.author,
        message=request.message,
        changes=request.changes,
    )
