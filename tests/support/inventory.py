"""What a daemon has, by its own word and on disk: for comparing with what it should have."""

from __future__ import annotations

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


def on_disk(root: Path, state: Path) -> dict[str, list[str]]:
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
        "cgroups": cgroups(),
        "snapshot directories": sorted(
            entry.name for entry in _entries(root / "snapshots" / "overlayfs") if entry.name.isdigit()
        ),
        "blob files": sorted(entry.name for entry in _entries(root / "content" / "blobs" / "sha256")),
        "ingest directories": sorted(entry.name for entry in _entries(root / "content" / "ingest")),
    }


def nothing_on_disk(root: Path, state: Path, *, deadline_s: float = 15.0) -> None:
    """Wait until nothing is left; fail with what is."""
    try:
        until(lambda: not any(on_disk(root, state).values()), deadline_s=deadline_s)
    except AssertionError:
        left = {kind: names for kind, names in on_disk(root, state).items() if names}
        raise AssertionError(f"left over: {left}") from None


def cgroups() -> list[str]:
    """Control groups of containers, in every hierarchy."""
    found = []
    for hierarchy in _entries(Path("/sys/fs/cgroup")):
        for top in (hierarchy / "wharfie", hierarchy if hierarchy.name == "wharfie" else None):
            if top is not None and top.is_dir():
                for directory, names, _ in os.walk(top):
                    found += [
                        f"{directory}/{name}" for name in names if len(Path(directory, name).parts) - len(top.parts) > 1
                    ]
    return sorted(found)


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
