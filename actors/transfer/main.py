"""The transfer worker's process. Its parts are plugins as in other workers: the differ, the transfer, the service."""

from __future__ import annotations

import os
from typing import Any

from actors.call import Call, handles
from actors.control import Control
from actors.jobs import Jobs
from actors.plugins.builtin import DIFFER, SERVICE, SNAPSHOTTER, TRANSFER
from actors.plugins.context import InitContext
from actors.plugins.discover import discover
from actors.plugins.load import Init, load
from actors.transfer.committer import Committer
from actors.transfer.converter import Converter
from actors.transfer.differ import Differ
from actors.transfer.diffservice import DiffService
from actors.transfer.exporter import Exporter
from actors.transfer.exportservice import ExportService
from actors.transfer.fetching.fetcher import Fetchers
from actors.transfer.importer import Importer
from actors.transfer.leftovers import Leftovers
from actors.transfer.puller import Puller
from actors.transfer.pullservice import PullService
from actors.transfer.pusher import Pusher
from actors.transfer.referrers import ReferrersFinder
from actors.transfer.repairer import Repairer
from actors.transfer.service import TransferService
from actors.transfer.unpacker import Unpacker
from actors.worker import Worker
from config.paths import Paths
from config.settings import Settings
from wharfie.types.base import Empty


class PingService:
    """`transfer.ping`: the loop turns."""

    @handles("transfer.ping")
    def ping(self, call: Call, request: Empty) -> Empty:
        """Answer. Never fails."""
        del call
        return request


def main(control: Control, settings: Settings) -> None:
    """Serve until the supervisor says stop."""
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=Paths.of(settings).backend_socket,
        heartbeat_s=settings.supervisor.heartbeat_interval_s,
    )

    async def start() -> dict[str, Any]:
        registry = discover(settings.plugin_dir)
        # Generations begin anew with each supervisor; this names the incarnation among all that ever were.
        token = os.urandom(6).hex()
        snapshotters = [registration.id for registration in registry.of_type(SNAPSHOTTER)]
        leftovers = Leftovers(worker, snapshotters=snapshotters, token=token)
        own = inits(worker, settings, leftovers, token=token)
        loaded = load(registry, worker="transfer", settings=settings, inits=own)
        for (kind, _), instance in loaded.instances.items():
            if kind == SERVICE:
                worker.add(instance)
        worker.add(PingService())
        worker.spawn(leftovers.heal())
        return loaded.ready_info()

    worker.run(start)


def inits(worker: Worker, settings: Settings, leftovers: Leftovers, *, token: str) -> dict[str, Init]:
    """How this worker's own plugins start, by full id."""
    jobs = Jobs(worker)

    def transfer(context: InitContext) -> Importer:
        unpacker: Unpacker = context.get_by_id(DIFFER, "walking")
        return Importer(worker, jobs, unpacker, settings=settings, paths=Paths.of(settings))

    def service(context: InitContext) -> TransferService:
        importer: Importer = context.get_by_id(TRANSFER, "local")
        return TransferService(worker, importer, leftovers, settings=settings)

    def differences(_context: InitContext) -> DiffService:
        paths = Paths.of(settings)
        differ = Differ(worker, jobs, settings=settings, paths=paths, token=token)
        return DiffService(differ, Committer(worker, differ, paths=paths))

    def exports(_context: InitContext) -> ExportService:
        paths = Paths.of(settings)
        return ExportService(Exporter(worker, paths=paths), Converter(worker, jobs, settings=settings, paths=paths))

    def pulls(context: InitContext) -> PullService:
        unpacker: Unpacker = context.get_by_id(DIFFER, "walking")
        paths = Paths.of(settings)
        fetchers = Fetchers(jobs, settings=settings, paths=paths)
        puller = Puller(worker, fetchers, unpacker, settings=settings, paths=paths)
        pusher = Pusher(worker, fetchers, settings=settings, paths=paths)
        repairer = Repairer(worker, fetchers, settings=settings)
        return PullService(puller, pusher, repairer, ReferrersFinder(fetchers), leftovers=leftovers)

    return {
        f"{DIFFER}.walking": lambda _context: Unpacker(
            worker, jobs, settings=settings.transfer, token=token, place=Paths.of(settings).temporary_mounts
        ),
        f"{TRANSFER}.local": transfer,
        f"{SERVICE}.transfer-service": service,
        f"{SERVICE}.diff-service": differences,
        f"{SERVICE}.export-service": exports,
        f"{SERVICE}.pull-service": pulls,
    }
