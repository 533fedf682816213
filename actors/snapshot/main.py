"""The snapshot worker's process: opens the snapshotters, then serves.

A snapshotter that cannot work here is skipped with its reason, and requests that name it are told. Others are added as
plugins of the type `snapshotter.v1` whose init function returns a `Backend`.
"""

from __future__ import annotations

from typing import Any

from actors.control import Control
from actors.plugins.builtin import SNAPSHOTTER
from actors.plugins.context import InitContext
from actors.plugins.discover import discover
from actors.plugins.load import Init, Loaded, load
from actors.snapshot.backend import Backend
from actors.snapshot.housekeeping import Housekeeping
from actors.snapshot.names import Names
from actors.snapshot.service import SnapshotService
from actors.snapshot.snapshotters import Snapshotters
from actors.snapshot.sweeper import Sweeper
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
        backend=paths.backend_socket,
        heartbeat_s=settings.supervisor.heartbeat_interval_s,
    )

    async def start() -> dict[str, Any]:
        loaded = load(discover(settings.plugin_dir), worker="snapshot", settings=settings, inits=inits(settings, paths))
        snapshot = settings.snapshot
        service, housekeeping = services_of(
            worker, loaded, default=snapshot.snapshotter, sync_remove=snapshot.sync_remove
        )
        worker.add(service)
        worker.add(housekeeping)
        worker.spawn(housekeeping.heal())
        return loaded.ready_info()

    worker.run(start)


def inits(settings: Settings, paths: Paths) -> dict[str, Init]:
    """How this worker's own plugins start, by full id."""
    flush = settings.snapshot.flush == "filesystem"
    mount_options, slow_chown = settings.snapshot.mount_options, settings.snapshot.slow_chown

    def overlayfs(context: InitContext) -> Backend:
        from actors.snapshot.overlayfs import Overlayfs

        root = context.exports["root"] = paths.snapshotter("overlayfs")
        context.capabilities.append("rebase")
        return Overlayfs(root, mount_options=mount_options, flush=flush, slow_chown=slow_chown)

    def native(context: InitContext) -> Backend:
        from actors.snapshot.native import Native

        root = context.exports["root"] = paths.snapshotter("native")
        return Native(root, flush=flush)

    def btrfs(context: InitContext) -> Backend:
        from actors.snapshot.btrfs import Btrfs

        root = context.exports["root"] = paths.snapshotter("btrfs")
        return Btrfs(root, flush=flush)

    def erofs(context: InitContext) -> Backend:
        from actors.snapshot.erofs.backend import Erofs

        root = context.exports["root"] = paths.snapshotter("erofs")
        context.capabilities.append("rebase")
        return Erofs(root, mount_options=mount_options, flush=flush, slow_chown=slow_chown)

    return {
        f"{SNAPSHOTTER}.overlayfs": overlayfs,
        f"{SNAPSHOTTER}.native": native,
        f"{SNAPSHOTTER}.btrfs": btrfs,
        f"{SNAPSHOTTER}.erofs": erofs,
    }


def services_of(
    worker: Worker, loaded: Loaded, *, default: str, sync_remove: bool = False
) -> tuple[SnapshotService, Housekeeping]:
    """What serves all snapshotters that loaded; it knows of the others why they did not."""
    snapshotters = Snapshotters(
        {
            plugin_id: instance
            for (kind, plugin_id), instance in loaded.instances.items()
            if kind == SNAPSHOTTER and isinstance(instance, Backend)
        },
        skipped={plugin.id: plugin.reason for plugin in loaded.plugins if plugin.type == SNAPSHOTTER},
        default=default,
    )
    names, sweeper = Names(worker), Sweeper(worker)
    housekeeping = Housekeeping(worker, snapshotters=snapshotters, names=names, sweeper=sweeper)
    service = SnapshotService(
        worker,
        snapshotters=snapshotters,
        names=names,
        sweeper=sweeper,
        housekeeping=housekeeping,
        sync_remove=sync_remove,
    )
    return service, housekeeping
