"""The methods of the wire: `transfer.import` and `transfer.unpack`, streams of progress with a result at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actors.call import Call, Result, handles
from actors.transfer.importer import Importer
from actors.transfer.leasing import leased
from actors.transfer.leftovers import Leftovers
from actors.transfer.operations import Operations, Report
from actors.worker import Worker
from config.settings import Settings
from wharfie.identifiers import check_name
from wharfie.types import images, transfer
from wharfie.types.images import Image
from wharfie.types.transfer import Imported, Progress, Unpacked


class TransferService:
    """Handlers of the transfer worker."""

    def __init__(self, worker: Worker, importer: Importer, leftovers: Leftovers, *, settings: Settings) -> None:
        self._worker = worker
        self._importer = importer
        self._leftovers = leftovers
        self._settings = settings
        self._operations = Operations()

    @handles("transfer.import")
    async def import_(self, call: Call, request: transfer.Import) -> AsyncIterator[Progress | Result]:
        """Images from an archive. Idempotent under its key; see `Importer.run`."""

        async def work(report: Report) -> Imported:
            imported = await self._importer.run(call, request, report)
            await self._leftovers.clean_up(call.namespace)
            return imported

        async for item in self._operations.follow(call, work):
            yield item

    @handles("transfer.unpack")
    async def unpack(self, call: Call, request: transfer.Unpack) -> AsyncIterator[Progress | Result]:
        """Snapshots of an image that is there. Idempotent."""
        check_name(request.image, field="image")

        async def work(report: Report) -> Unpacked:
            get = images.Get(name=request.image)
            image = await self._worker.call("images.get", get, Image, namespace=call.namespace)
            async with leased(self._worker, call) as lease:
                chain_id = await self._importer.unpack(
                    call.namespace,
                    image.target,
                    name=image.name,
                    snapshotter=request.snapshotter,
                    platform=request.platform,
                    report=report,
                    lease=lease.id,
                )
            await self._leftovers.clean_up(call.namespace)
            snapshotter = request.snapshotter or self._settings.snapshot.snapshotter
            return Unpacked(chain_id=chain_id, snapshotter=snapshotter)

        async for item in self._operations.follow(call, work):
            yield item
