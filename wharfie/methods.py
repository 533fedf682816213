"""Every method of the wire: who answers it and by which rules. The one routing table.

Plain data, so that the router and every client read it without loading the types; a test
(`tests/unit/wharfie/test_methods.py`) holds it against the types and the workers' handlers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Mode(StrEnum):
    """How a method may be repeated when the process that works on it dies."""

    READ = "read"
    """Changes nothing: sent again to the next incarnation."""
    WRITE = "write"
    """Changes something: sent again only with an idempotency key."""
    STREAM = "stream"
    """Answers with items under credits; the client begins again at its cursor."""


class Method(NamedTuple):
    """One method.

    Attributes:
        owner: the worker that answers, or `router` or `supervisor`.
        namespaced: needs a valid namespace in its header.
        waits: may take as long as it likes (its crash count says nothing about it: never poisoned).
        internal: only workers may call it.
    """

    owner: str
    mode: Mode
    namespaced: bool = True
    waits: bool = False
    internal: bool = False


def _methods(
    owner: str,
    *,
    read: str = "",
    write: str = "",
    stream: str = "",
    namespaced: bool = True,
    waits: bool = False,
    internal: bool = False,
) -> dict[str, Method]:
    table: dict[str, Method] = {}
    for mode, names in ((Mode.READ, read), (Mode.WRITE, write), (Mode.STREAM, stream)):
        for name in names.split():
            table[name] = Method(
                owner, mode, namespaced=namespaced, waits=waits or mode is Mode.STREAM, internal=internal
            )
    return table


METHODS: dict[str, Method] = {
    **_methods("router", read="version.get router.stats router.dead_letters", namespaced=False),
    **_methods(
        "supervisor",
        read="supervisor.tree supervisor.list supervisor.get supervisor.crash_reports supervisor.dump"
        " introspection.plugins introspection.server",
        write="supervisor.restart supervisor.stop supervisor.start supervisor.log_level supervisor.reload",
        namespaced=False,
    ),
    **_methods(
        "metadata",
        read="namespaces.get namespaces.list",
        write="namespaces.create namespaces.update namespaces.delete",
        namespaced=False,
    ),
    **_methods(
        "metadata",
        read="containers.get containers.list images.get images.list content.info content.list"
        " leases.get leases.list leases.resources"
        " snapshots.stat snapshots.list snapshots.mounts snapshots.usage",
        write="containers.create containers.update containers.delete images.create images.update images.delete"
        " content.update snapshots.update snapshots.prepare snapshots.view snapshots.remove events.publish"
        " leases.create leases.update leases.delete leases.add_resource leases.delete_resource",
    ),
    **_methods("metadata", read="gc.explain"),
    **_methods("metadata", read="gc.orphans", write="gc.run", stream="events.subscribe", namespaced=False),
    **_methods(
        "metadata",
        read="metadata.blob_named metadata.snapshot_get",
        write="metadata.blob_register metadata.blob_forget metadata.blob_claim metadata.lease_hold"
        " metadata.snapshot_create metadata.snapshot_commit"
        " metadata.snapshot_remove events.forward",
        internal=True,
    ),
    **_methods(
        "metadata",
        read="metadata.snapshot_numbers metadata.blobs_named metadata.ingests_held",
        namespaced=False,
        internal=True,
    ),
    **_methods(
        "content",
        read="content.status content.statuses",
        write="content.write content.put content.commit content.abort content.delete",
        stream="content.read content.check",
    ),
    **_methods("content", write="content.ingest_file", internal=True, waits=True),
    **_methods("content", write="content.collect", namespaced=False, internal=True, waits=True),
    **_methods("snapshot", write="snapshot.collect", namespaced=False, internal=True, waits=True),
    **_methods("snapshot", write="snapshots.commit snapshots.cleanup"),
    **_methods(
        "snapshot",
        read="snapshot.show snapshot.measure snapshot.lost",
        write="snapshot.make snapshot.put_away",
        internal=True,
    ),
    **_methods(
        "runtime",
        read="tasks.get tasks.list tasks.pids",
        write="tasks.create tasks.start tasks.kill tasks.exec tasks.delete tasks.close_io",
        stream="tasks.logs",
    ),
    **_methods("runtime", read="tasks.wait", waits=True),
    **_methods("transfer", stream="transfer.import transfer.unpack transfer.commit transfer.export transfer.convert"),
    **_methods("transfer", stream="transfer.pull transfer.push transfer.repair transfer.referrers"),
    **_methods("transfer", stream="diff.create diff.apply diff.changes"),
    **{
        f"{worker}.ping": Method(worker, Mode.READ, namespaced=False)
        for worker in ("content", "metadata", "snapshot", "runtime", "transfer")
    },
}
"""Method name to how it is routed."""

WORKERS = ("content", "metadata", "snapshot", "runtime", "transfer")
"""The workers behind the router."""
