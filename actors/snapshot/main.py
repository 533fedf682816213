"""The snapshot worker's process: opens the snapshotters, then serves.

A snapshotter that cannot work here (`Unsupported`) is skipped with its reason; requests that name it are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from actors.control import Control
from actors.snapshot.backend import Backend, Unsupported
from actors.snapshot.native import Native
from actors.snapshot.overlayfs import Overlayfs
from actors.snapshot.service import SnapshotService
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie.types.introspection import Plugin, PluginStatus

log = logging.getLogger("snapshot")

PLUGIN_TYPE = "wharfie.snapshotter"


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
        backends, plugins = open_backends(settings, paths)
        service = SnapshotService(
            worker,
            backends=backends,
            skipped={plugin.id: plugin.reason for plugin in plugins if plugin.status is not PluginStatus.OK},
            default=settings.snapshot.snapshotter,
        )
        worker.add(service)
        worker.spawn(service.heal())
        return {"plugins": msgspec.to_builtins(plugins)}

    worker.run(start)


def open_backends(settings: Settings, paths: Paths) -> tuple[dict[str, Backend], list[Plugin]]:
    """Open every snapshotter that is not disabled; those that work, and how it went with each."""
    flush = settings.snapshot.flush == "filesystem"
    makers: dict[str, Callable[[str], Backend]] = {
        Overlayfs.name: lambda root: Overlayfs(root, mount_options=settings.snapshot.mount_options, flush=flush),
        Native.name: lambda root: Native(root, flush=flush),
    }
    backends: dict[str, Backend] = {}
    plugins: list[Plugin] = []
    for name, make in makers.items():
        status, reason = PluginStatus.OK, ""
        capabilities: list[str] = []
        if f"{PLUGIN_TYPE}.{name}" in settings.disabled_plugins:
            status, reason = PluginStatus.SKIP, "disabled by the configuration"
        else:
            try:
                backend = backends[name] = make(paths.snapshotter(name))
                capabilities = ["rebase"] if backend.rebases else []
            except Unsupported as error:
                status, reason = PluginStatus.SKIP, str(error)
                log.info("snapshotter '%s' is skipped: %s", name, reason)
            except OSError as error:
                status, reason = PluginStatus.ERROR, str(error)
                log.error("snapshotter '%s' cannot be opened: %s", name, reason)
        plugins.append(
            Plugin(
                type=PLUGIN_TYPE,
                id=name,
                worker="snapshot",
                status=status,
                reason=reason,
                exports={"root": paths.snapshotter(name)},
                capabilities=capabilities,
            )
        )
    return backends, plugins
