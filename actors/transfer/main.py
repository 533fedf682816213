"""The transfer worker's process."""

from __future__ import annotations

import os

from actors.control import Control
from actors.jobs import Jobs
from actors.transfer.importer import Importer
from actors.transfer.leftovers import Leftovers
from actors.transfer.service import TransferService
from actors.transfer.unpacker import Unpacker
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
        # Generations begin anew with each supervisor; this names the incarnation among all that ever were.
        token = os.urandom(6).hex()
        jobs = Jobs(worker)
        unpacker = Unpacker(worker, jobs, settings=settings.transfer, token=token)
        importer = Importer(worker, jobs, unpacker, settings=settings, paths=paths)
        leftovers = Leftovers(worker, snapshotters=("overlayfs", "native"), token=token)
        worker.add(TransferService(worker, importer, leftovers, settings=settings))
        worker.spawn(leftovers.heal())
        return {}

    worker.run(start)
