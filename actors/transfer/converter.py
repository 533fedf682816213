"""Carrying out a conversion: layers in jobs, then the documents that name them, then the image.

A request whose worker died is made again: the same layers come out the same, and what is in the content store is not
stored twice.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass, field

from actors import internal
from actors.call import Call
from actors.jobs import KILLED, Jobs
from actors.transfer import conversion, naming
from actors.transfer.blobs import UNCOMPRESSED, index_labels, manifest_labels
from actors.transfer.diff.sink import Compression
from actors.transfer.exporter import descriptor_of
from actors.transfer.imagetree import Choice, Chooser, Node, is_foreign
from actors.transfer.importer import Steps
from actors.transfer.layout import check_diff_ids
from actors.transfer.leasing import hold, leased
from actors.transfer.operations import Report
from actors.transfer.plan import NamedImage
from actors.transfer.recompress import Recompress, Recompressed
from actors.transfer.resolver import Resolver
from actors.transfer.source import proc_path
from actors.transfer.together import together
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie import failpoint
from wharfie.errors import Aborted, FailedPrecondition
from wharfie.identifiers import check_labels, check_name
from wharfie.oci import platforms
from wharfie.oci.descriptor import Descriptor
from wharfie.oci.image_config import MAX_CONFIG_BYTES, decode_image_config
from wharfie.oci.manifest import Manifest
from wharfie.types import images
from wharfie.types.base import Descriptor as Target
from wharfie.types.convert import Convert, Converted
from wharfie.types.images import Image
from wharfie.types.transfer import Progress

_TRIES = 3


@dataclass(kw_only=True)
class _Run:
    """One conversion: what each layer became, by digest, and how many blobs were made."""

    call: Call
    steps: Steps
    lease: str
    report: Report
    compression: Compression | None
    as_oci: bool
    layers: dict[str, Descriptor] = field(default_factory=dict)
    blobs: int = 0


class Converter:
    """Converts images."""

    def __init__(self, worker: Worker, jobs: Jobs, *, settings: Settings, paths: Paths) -> None:
        self._worker = worker
        self._jobs = jobs
        self._settings = settings.transfer
        self._temp = paths.temp or paths.root
        self._resolver = Resolver(worker, paths=paths)
        self._slots = asyncio.Semaphore(settings.transfer.max_concurrent_unpacks or os.cpu_count() or 1)

    async def run(self, call: Call, request: Convert, report: Report) -> Converted:
        """See `wharfie.types.convert.Convert`. Idempotent under its key.

        Raises:
            NotFound: the image, a platform of it or a blob that is wanted is not there.
            Unimplemented: a layer is no tar that can be compressed anew.
            FailedPrecondition: a layer is another tar than the image's configuration says.
        """
        check_name(request.name, field="name")
        check_labels(request.labels)
        compression = conversion.parse(request.compression)
        choice = Choice(
            wanted=[platforms.parse(text) for text in request.platforms], all_platforms=request.all_platforms
        )
        chooser = Chooser(source=self._resolver.source(call.namespace), choice=choice)
        get = images.Get(name=request.source)
        image = await self._worker.call("images.get", get, Image, namespace=call.namespace)
        async with leased(self._worker, call) as lease:
            await hold(self._worker, call.namespace, lease.id, "content", image.target.digest)
            tree = await chooser.tree(descriptor_of(image), name=image.name)
            run = _Run(
                call=call,
                steps=Steps(self._worker, call),
                lease=lease.id,
                report=report,
                compression=compression,
                as_oci=request.oci,
            )
            await self._layers(run, tree)
            failpoint.hit("transfer.convert.after-layers")
            made = await self._document(run, tree)
            # What else the descriptor says stays; what named the source in its archive does not.
            annotations = {
                key: value
                for key, value in image.target.annotations.items()
                if key not in (naming.IMAGE_NAME, naming.REF_NAME)
            }
            target = Target(media_type=made.media_type, digest=made.digest, size=made.size, annotations=annotations)
            labels = {**image.labels, **request.labels}
            named = await run.steps.name(0, NamedImage(name=request.name, target=target), labels, report)
        return Converted(image=named, blobs=run.blobs)

    async def _layers(self, run: _Run, tree: Node) -> None:
        """Convert each layer of the images in the tree once."""
        wanted: dict[str, tuple[Descriptor, str]] = {}
        for node in tree.manifests():
            if not node.is_image:
                continue
            config, *layers = node.blobs
            data = await self._resolver.read(run.call.namespace, config.digest, MAX_CONFIG_BYTES)
            diff_ids = check_diff_ids(decode_image_config(data), manifest=node.descriptor.digest, layers=len(layers))
            wanted |= {
                layer.digest: (layer, diff_id)
                for layer, diff_id in zip(layers, diff_ids, strict=True)
                if not is_foreign(layer.media_type)
            }
        await together(*(self._layer(run, layer, diff_id) for layer, diff_id in wanted.values()))

    async def _layer(self, run: _Run, layer: Descriptor, diff_id: str) -> None:
        new_type = conversion.media_type(layer.media_type, compression=run.compression, as_oci=run.as_oci)
        if run.compression is None or conversion.is_kept(layer.media_type, run.compression):
            run.layers[layer.digest] = Descriptor(media_type=new_type, digest=layer.digest, size=layer.size)
            return
        async with self._slots:
            with tempfile.TemporaryFile(dir=self._temp) as file:
                made = await self._recompressed(run, layer, file.fileno())
                if made.diff_id != diff_id:
                    raise FailedPrecondition(
                        f"layer '{layer.digest}' is the tar '{made.diff_id}', its image's configuration says"
                        f" '{diff_id}'; the image is broken",
                        details={"reason": "diff_id", "digest": layer.digest, "diff_id": made.diff_id},
                    )
                labels = {UNCOMPRESSED: diff_id} if made.digest != diff_id else {}
                blob = internal.IngestFile(
                    path=proc_path(file.fileno()), offset=0, length=made.size, digest=made.digest, labels=labels
                )
                await run.steps.ingest(blob, lease=run.lease)
                run.blobs += 1
        run.report(Progress(event="converted", name=layer.digest, done=layer.size, total=layer.size))
        run.layers[layer.digest] = Descriptor(media_type=new_type, digest=made.digest, size=made.size)

    async def _recompressed(self, run: _Run, layer: Descriptor, target: int) -> Recompressed:
        def progress(done: int) -> None:
            run.report(Progress(event="converting", name=layer.digest, done=done, total=layer.size))

        assert run.compression is not None, "asked only then"
        job = Recompress(
            length=layer.size,
            media_type=layer.media_type,
            compression=run.compression,
            max_bytes=self._settings.max_unpacked_bytes,
            max_ratio=self._settings.max_ratio,
        )
        progress(0)
        source = self._resolver.open_blob(layer.digest)[0]
        try:
            for attempt in range(_TRIES):
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
                try:
                    return await self._jobs.run(
                        "actors.transfer.recompress:recompress",
                        job,
                        Recompressed,
                        name="convert",
                        fds=[source, target],
                        progress=progress,
                    )
                except Aborted as error:
                    if error.details.get("reason") != KILLED or attempt == _TRIES - 1:
                        raise
        finally:
            os.close(source)
        raise AssertionError("the last try returns or raises")

    async def _document(self, run: _Run, node: Node) -> Descriptor:
        """What a document becomes, with all below it."""
        if isinstance(node.document, Manifest):
            layers = run.layers if node.is_image else {}
            as_oci = run.as_oci and node.is_image
            data = conversion.manifest(node.data, layers=layers, as_oci=as_oci)
            digests = [
                layers[layer.digest].digest if layer.digest in layers else layer.digest
                for layer in node.document.layers
            ]
            labels = manifest_labels(node.document.config.digest, digests)
        else:
            children = {child.descriptor.digest: await self._document(run, child) for child in node.children}
            data = conversion.index(node.data, children=children, as_oci=run.as_oci)
            as_oci = run.as_oci
            kept = [child.digest for child in children.values()]
            labels = index_labels(kept, kept)
        digest = node.descriptor.digest
        if data != node.data:
            digest = await run.steps.ingest_document(data, labels=labels, lease=run.lease)
            run.blobs += 1
        media_type = conversion.media_type(node.descriptor.media_type, compression=None, as_oci=as_oci)
        return Descriptor(media_type=media_type, digest=digest, size=len(data))
