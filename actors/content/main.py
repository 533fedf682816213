"""The content worker's process."""

from __future__ import annotations

from actors.content.ingests import Ingests
from actors.content.names import Names
from actors.content.reading import ReadService
from actors.content.service import ContentService
from actors.content.store import BlobStore
from actors.control import Control
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings


def main(control: Control, settings: Settings) -> None:
    """Serve until the supervisor says stop."""
    paths = Paths.of(settings)
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=f"ipc://{paths.backend_socket}",
        heartbeat_s=settings.supervisor.heartbeat_interval_s,
    )

    async def start() -> dict[str, object]:
        store = BlobStore(paths.content)
        names = Names(worker)
        service = ContentService(worker, store=store, ingests=Ingests(store), names=names)
        worker.add(service)
        worker.add(ReadService(worker, store=store, names=names, chunk_bytes=settings.content.read_chunk_bytes))
        service.heal()
        return {}

    worker.run(start)
