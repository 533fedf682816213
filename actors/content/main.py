"""The content worker's process."""

from __future__ import annotations

from typing import Any

from actors.call import Call, handles
from actors.content.checking import CheckService
from actors.content.collecting import UNLEASED_NS
from actors.content.ingests import Ingests
from actors.content.locks import Digests
from actors.content.names import Names
from actors.content.putting import PutService
from actors.content.reading import ReadService
from actors.content.service import ContentService
from actors.content.store import BlobStore
from actors.control import Control
from actors.plugins.builtin import CONTENT, SERVICE
from actors.plugins.context import InitContext
from actors.plugins.discover import discover
from actors.plugins.load import Init, load
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie.types.base import Empty


class PingService:
    """`content.ping`: the loop turns."""

    @handles("content.ping")
    def ping(self, call: Call, request: Empty) -> Empty:
        """Answer. Never fails."""
        del call
        return request


def main(control: Control, settings: Settings) -> None:
    """Serve until the supervisor says stop."""
    paths = Paths.of(settings)
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=paths.backend_socket,
        heartbeat_s=settings.supervisor.heartbeat_interval_s,
    )

    async def start() -> dict[str, Any]:
        loaded = load(
            discover(settings.plugin_dir), worker="content", settings=settings, inits=inits(worker, settings, paths)
        )
        for (kind, _), instance in loaded.instances.items():
            if kind == SERVICE:
                for service in instance:
                    worker.add(service)
        worker.add(PingService())
        return loaded.ready_info()

    worker.run(start)


def inits(worker: Worker, settings: Settings, paths: Paths) -> dict[str, Init]:
    """How this worker's own plugins start, by full id."""

    def store(context: InitContext) -> BlobStore:
        context.exports["root"] = paths.content
        return BlobStore(paths.content)

    def services(context: InitContext) -> list[object]:
        blobs: BlobStore = context.get_single(CONTENT)
        names = Names(worker)
        digests = Digests()
        service = ContentService(
            worker,
            store=blobs,
            ingests=Ingests(blobs),
            names=names,
            digests=digests,
            is_isolated=settings.content.sharing_policy == "isolated",
            unleased_ns=int(settings.gc.default_lease_s * 1e9) or UNLEASED_NS,
        )
        service.heal()
        return [
            service,
            PutService(worker, store=blobs, names=names, digests=digests),
            ReadService(worker, store=blobs, names=names, chunk_bytes=settings.content.read_chunk_bytes),
            CheckService(worker, store=blobs, digests=digests),
        ]

    return {f"{CONTENT}.content": store, f"{SERVICE}.content-service": services}
