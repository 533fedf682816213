"""The runtime worker's process: finds the tasks there are, then serves; adoption goes on behind."""

from __future__ import annotations

from typing import Any

from actors.control import Control
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings


def main(control: Control, settings: Settings) -> None:
    """Serve until the supervisor says stop."""
    from actors.runtime.service import Runtime

    paths = Paths.of(settings)
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=paths.backend_socket,
        heartbeat_s=settings.supervisor.heartbeat_interval_s,
    )

    async def start() -> dict[str, Any]:
        runtime = Runtime(worker, paths=paths, settings=settings)
        worker.add(runtime)
        runtime.start()
        return {"plugins": [{"type": "io.containerd.runtime.v2", "id": "task", "worker": "runtime"}]}

    worker.run(start)
