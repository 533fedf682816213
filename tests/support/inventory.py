"""What a daemon has, by its own word and on disk: for comparing with what it should have."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import wharfie
from linux import mountinfo
from tests.support.wait import until


def of(client: wharfie.Client) -> dict[str, list[str]]:
    """Everything with a name in the client's namespace."""
    return {
        "images": sorted(image.name for image in client.images.list()),
        "containers": sorted(container.id for container in client.containers.list()),
        "tasks": sorted(task.container_id for task in client.tasks.list()),
        "snapshots": sorted(snapshot.name for snapshot in client.snapshots.list()),
        "blobs": sorted(blob.digest for blob in client.content.list()),
        "ingests": sorted(status.ref for status in client.content.statuses()),
    }


def clear(client: wharfie.Client, snapshotters: tuple[str, ...] = ("overlayfs",)) -> None:
    """Remove everything from the client's namespace; what the garbage collector was quicker to remove is no matter."""
    for container in client.containers.list():
        container.delete(force=True)
    for image in client.images.list():
        client.images.delete(image.name)
    for lease in client.leases.list():
        with contextlib.suppress(wharfie.NotFound):
            client.leases.delete(lease.id)
    for snapshotter in snapshotters:
        while names := [snapshot.name for snapshot in client.snapshots.list(snapshotter=snapshotter)]:
            for name in names:
                with contextlib.suppress(wharfie.FailedPrecondition, wharfie.NotFound):
                    client.snapshots.remove(name, snapshotter=snapshotter)
    for blob in client.content.list():
        with contextlib.suppress(wharfie.NotFound):
            client.content.delete(blob.digest)
    for status in client.content.statuses():
        with contextlib.suppress(wharfie.NotFound):
            client.content.abort(status.ref)


def on_disk(root: Path, state: Path, *, namespace: str = "default") -> dict[str, list[str]]:
    """What lies in the directories and hangs in the kernel."""
    return {
        "bundles": sorted(
            f"{namespace.name}/{bundle.name}"
            for namespace in _entries(state / "tasks")
            if not namespace.name.startswith(".")
            for bundle in _entries(namespace)
        ),
        "shim sockets": sorted(entry.name for entry in _entries(state / "s")),
        "runtime state": sorted(entry.name for namespace in _entries(state / "runc") for entry in _entries(namespace)),
        "mounts": sorted(entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), str(state))),
        "cgroups": cgroups(namespace),
        "snapshot directories": sorted(
            entry.name for entry in _entries(root / "snapshots" / "overlayfs") if entry.name.isdigit()
        ),
        "blob files": sorted(entry.name for entry in _entries(root / "content" / "blobs" / "sha256")),
        "ingest directories": sorted(
            # One without data only remembers the answer to a call, for who asks again; it goes by itself.
            entry.name
            for entry in _entries(root / "content" / "ingest")
            if (entry / "data").exists()
        ),
    }


def nothing_on_disk(root: Path, state: Path, *, namespace: str, deadline_s: float = 15.0) -> None:
    """Wait until nothing is left; fail with what is."""
    try:
        until(lambda: not any(on_disk(root, state, namespace=namespace).values()), deadline_s=deadline_s)
    except AssertionError:
        left = {kind: names for kind, names in on_disk(root, state, namespace=namespace).items() if names}
        raise AssertionError(f"left over: {left}") from None


def cgroups(namespace: str) -> list[str]:
    """Control groups of a namespace's containers, in every hierarchy (several daemons of a machine share them)."""
    found: list[str] = []
    for top in ("", *(entry.name for entry in _entries(Path("/sys/fs/cgroup")))):
        found += map(str, _entries(Path("/sys/fs/cgroup", top, "wharfie", namespace)))
    return sorted(path for path in found if os.path.isdir(path))


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
