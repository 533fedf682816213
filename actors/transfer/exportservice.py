"""The methods of the wire that make something of images that are here: `transfer.export` and `transfer.convert`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actors.call import Call, Reply, Result, handles
from actors.transfer.converter import Converter
from actors.transfer.exporter import Exporter
from actors.transfer.operations import Operations, Report
from wharfie.types.convert import Convert, Converted
from wharfie.types.export import Export, Exported, Exporting
from wharfie.types.transfer import Progress


class ExportService:
    """Handlers of the transfer worker."""

    def __init__(self, exporter: Exporter, converter: Converter) -> None:
        self._exporter = exporter
        self._converter = converter
        self._operations = Operations()

    @handles("transfer.export")
    async def export(self, call: Call, request: Export) -> AsyncIterator[Exporting | Reply | Result]:
        """An archive of images. Idempotent; see `Exporter`."""
        if not request.path:
            # Of a stream that goes on where it had just ended.
            end = Exported(images=list(dict.fromkeys(request.images)), size=request.offset)
            async for data, ready, done in self._exporter.stream(call, request):
                yield Reply(Exporting(done=done, total=ready.size, archive=ready.name), [data])
                end = Exported(images=ready.images, size=ready.size)
            yield Result(end)
            return

        async def work(report: Report) -> Exported:
            return await self._exporter.to_file(call, request, report)

        async for item in self._operations.follow(call, work):
            yield Exporting(done=item.done, total=item.total) if isinstance(item, Progress) else item

    @handles("transfer.convert")
    async def convert(self, call: Call, request: Convert) -> AsyncIterator[Progress | Result]:
        """An image of an image. Idempotent under its key; see `Converter`."""

        async def work(report: Report) -> Converted:
            return await self._converter.run(call, request, report)

        async for item in self._operations.follow(call, work):
            yield item
