"""The metadata worker's process: opens the database, then serves.

The database is a plugin like others, but nothing here works without it: when it cannot be opened the process ends, at
once and for good when a restart would not mend it (a newer schema, a damaged file), else to be tried again.
"""

from __future__ import annotations

import logging
from typing import Any

from actors.call import Call, handles
from actors.control import Control
from actors.metadata.collector import Asks, Collector
from actors.metadata.containers import ContainerService
from actors.metadata.content import ContentService
from actors.metadata.database import open_database
from actors.metadata.eventlog import EventLog
from actors.metadata.events import EventService, ForwardService
from actors.metadata.gc import GarbageService
from actors.metadata.housekeeping import Housekeeping
from actors.metadata.images import ImageService
from actors.metadata.leases import LeaseService
from actors.metadata.namespaces import NamespaceService
from actors.metadata.reserve import Reserve
from actors.metadata.scheduler import Scheduler
from actors.metadata.snapshotdoor import SnapshotDoor
from actors.metadata.snapshots import SnapshotService
from actors.metadata.transaction import Transactions
from actors.plugins.builtin import EVENT, METADATA, SERVICE, SNAPSHOTTER
from actors.plugins.context import InitContext
from actors.plugins.discover import discover
from actors.plugins.load import Init, Loaded, load
from actors.plugins.registry import Registry
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie.errors import WharfieError
from wharfie.types.base import Empty

log = logging.getLogger("metadata")

EX_CONFIG = 78
"""sysexits.h: a restart will not mend it; the supervisor does not try."""


class PingService:
    """`metadata.ping`: the loop turns."""

    @handles("metadata.ping")
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
        registry = discover(settings.plugin_dir)
        loaded = load(registry, worker="metadata", settings=settings, inits=inits(settings, paths))
        store = _store_of(loaded)
        worker.before_send = store.commit
        for service in services_of(loaded, store, registry, settings):
            worker.add(service)
        worker.spawn(Housekeeping(store).run())
        garbage = garbage_of(store, registry, settings, ask=worker.call)
        store.after_collection = garbage.scheduler.after
        worker.add(garbage)
        worker.spawn(garbage.scheduler.run())

        async def close() -> None:
            store.close()

        worker.on_stop(close)
        return loaded.ready_info()

    worker.run(start)


def open_store(path: str, settings: Settings) -> Transactions:
    """Open the database with its event log. The caller closes it. Raises: as `open_database`."""
    connection = open_database(path)
    events = EventLog(
        connection,
        retention_count=settings.events.retention_count,
        retention_ns=int(settings.events.retention_age_s * 1e9),
    )
    return Transactions(
        connection,
        events,
        reserve=Reserve(f"{path}.reserve"),
        path=path,
        default_lease_ns=int(settings.gc.default_lease_s * 1e9),
    )


def inits(settings: Settings, paths: Paths) -> dict[str, Init]:
    """How this worker's own plugins start, by full id."""

    def database(context: InitContext) -> Transactions:
        store = open_store(paths.database, settings)
        context.exports["path"] = paths.database
        return store

    def store(context: InitContext) -> Transactions:
        found: Transactions = context.get_single(METADATA)
        return found

    return {
        f"{METADATA}.sqlite": database,
        f"{EVENT}.exchange": lambda context: store(context).events,
        f"{SERVICE}.events-service": lambda context: EventService(store(context)),
        f"{SERVICE}.namespaces-service": lambda context: NamespaceService(store(context)),
        f"{SERVICE}.containers-service": lambda context: ContainerService(
            store(context), reply_max_bytes=settings.router.max_message_bytes
        ),
        f"{SERVICE}.images-service": lambda context: ImageService(store(context)),
        f"{SERVICE}.leases-service": lambda context: LeaseService(store(context)),
    }


def snapshotters_of(registry: Registry) -> frozenset[str]:
    """The snapshotters that there may be."""
    return frozenset(plugin.id for plugin in registry.of_type(SNAPSHOTTER))


def garbage_of(store: Transactions, registry: Registry, settings: Settings, *, ask: Asks | None) -> GarbageService:
    """The collector and what is served of it; nothing runs yet."""
    collector = Collector(store, ask=ask, snapshotters=snapshotters_of(registry))
    return GarbageService(store, collector, Scheduler(store, collector, settings.gc))


def services_of(loaded: Loaded, store: Transactions, registry: Registry, settings: Settings) -> list[object]:
    """What the worker serves: the service plugins that loaded, and what other workers ask, which is always there."""
    snapshotters = snapshotters_of(registry)
    own = [found for (kind, _), found in loaded.instances.items() if kind == SERVICE]
    upperdirs = {"overlayfs": Paths.of(settings).snapshotter("overlayfs")} if settings.snapshot.upperdir_label else {}
    names = SnapshotService(store, default=settings.snapshot.snapshotter, known=snapshotters, upperdirs=upperdirs)
    return [
        *own,
        ForwardService(store),
        ContentService(store),
        names,
        SnapshotDoor(names),
        PingService(),
    ]


def _store_of(loaded: Loaded) -> Transactions:
    found = loaded.instances.get((METADATA, "sqlite"))
    if isinstance(found, Transactions):
        return found
    error = loaded.failures.get(f"{METADATA}.sqlite")
    if error is None or (isinstance(error, WharfieError) and not error.retryable):
        reasons = "; ".join(plugin.reason for plugin in loaded.plugins if plugin.type == METADATA)
        log.error("the database cannot be opened and a restart will not help: %s", reasons)
        raise SystemExit(EX_CONFIG)
    raise error
