"""Our own plugins, as data: the daemon's start order and `depends_on` of its workers come from this table.

Their init functions are brought by the workers' `main`: the table is read by every process and imports nothing.
"""

from __future__ import annotations

from actors.plugins.registration import Registration

METADATA = "metadata.v1"
EVENT = "event.v1"
CONTENT = "content.v1"
SNAPSHOTTER = "snapshotter.v1"
DIFFER = "differ.v1"
RUNTIME = "runtime.v2"
TRANSFER = "transfer.v1"
SERVICE = "service.v1"


def _plugin(kind: str, plugin_id: str, worker: str, *requires: str) -> Registration:
    return Registration(type=kind, id=plugin_id, worker=worker, requires=requires)


BUILTIN = (
    _plugin(METADATA, "sqlite", "metadata"),
    _plugin(EVENT, "exchange", "metadata", METADATA),
    _plugin(CONTENT, "content", "content", METADATA),
    _plugin(SNAPSHOTTER, "overlayfs", "snapshot", METADATA),
    _plugin(SNAPSHOTTER, "native", "snapshot", METADATA),
    _plugin(SNAPSHOTTER, "btrfs", "snapshot", METADATA),
    _plugin(SNAPSHOTTER, "erofs", "snapshot", METADATA),
    _plugin(RUNTIME, "task", "runtime", METADATA, EVENT, SNAPSHOTTER),
    _plugin(DIFFER, "walking", "transfer", CONTENT),
    _plugin(TRANSFER, "local", "transfer", METADATA, CONTENT, SNAPSHOTTER, DIFFER),
    _plugin(SERVICE, "namespaces-service", "metadata", METADATA),
    _plugin(SERVICE, "containers-service", "metadata", METADATA),
    _plugin(SERVICE, "images-service", "metadata", METADATA),
    _plugin(SERVICE, "leases-service", "metadata", METADATA),
    _plugin(SERVICE, "events-service", "metadata", EVENT),
    _plugin(SERVICE, "content-service", "content", CONTENT),
    _plugin(SERVICE, "snapshots-service", "snapshot", SNAPSHOTTER),
    _plugin(SERVICE, "tasks-service", "runtime", RUNTIME),
    _plugin(SERVICE, "transfer-service", "transfer", TRANSFER),
    _plugin(SERVICE, "diff-service", "transfer", DIFFER),
    _plugin(SERVICE, "export-service", "transfer", TRANSFER),
    _plugin(SERVICE, "pull-service", "transfer", DIFFER),
)
"""In registration order."""
