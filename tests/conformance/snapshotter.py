"""A snapshotter under test: what the cases of `snapshot_names.py` and `snapshot_files.py` get."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from linux import mount
from wharfie import Client, FailedPrecondition
from wharfie.types.base import Mount
from wharfie.types.snapshots import Info, Usage


@dataclass
class Snapshotter:
    """One snapshotter under test, with short names for what its cases do."""

    client: Client
    name: str
    directory: str
    """Empty; mounts go below it."""
    renames_directories: bool = True
    """Whether a directory of a lower layer can be renamed."""
    keeps_files: bool = True
    """Whether a committed snapshot is the very files that were written."""
    mounted: int = 0

    def prepare(self, key: str, parent: str = "", labels: Mapping[str, str] | None = None) -> list[Mount]:
        return self.client.snapshots.prepare(key, parent, snapshotter=self.name, labels=labels)

    def view(self, key: str, parent: str = "") -> list[Mount]:
        return self.client.snapshots.view(key, parent, snapshotter=self.name)

    def commit(self, name: str, key: str, *, parent: str = "", labels: Mapping[str, str] | None = None) -> None:
        self.client.snapshots.commit(name, key, snapshotter=self.name, parent=parent, labels=labels)

    def remove(self, key: str) -> None:
        self.client.snapshots.remove(key, snapshotter=self.name)

    def mounts(self, key: str) -> list[Mount]:
        return self.client.snapshots.mounts(key, snapshotter=self.name)

    def stat(self, key: str) -> Info:
        return self.client.snapshots.stat(key, snapshotter=self.name)

    def usage(self, key: str) -> Usage:
        return self.client.snapshots.usage(key, snapshotter=self.name)

    def names(self, *filters: str) -> list[str]:
        return [info.name for info in self.client.snapshots.list(filters, snapshotter=self.name)]

    def remove_all(self) -> None:
        """Remove every snapshot of the namespace, the uppermost first."""
        while names := self.names():
            for name in names:
                with contextlib.suppress(FailedPrecondition):
                    self.remove(name)

    @contextlib.contextmanager
    def seen(self, mounts: Sequence[Mount]) -> Iterator[str]:
        """The files of a snapshot, mounted for real."""
        self.mounted += 1
        place = f"{self.directory}/{self.mounted}"
        os.mkdir(place)
        mount.mount_all([(m.type, m.source, m.target, tuple(m.options)) for m in mounts], root=place)
        try:
            yield place
        finally:
            mount.umount(place)
            os.rmdir(place)

    def layer(self, name: str, parent: str, change: Callable[[str], object]) -> str:
        """Commit a layer that makes a change."""
        with self.seen(self.prepare(f"{name}-active", parent)) as root:
            change(root)
        self.commit(name, f"{name}-active")
        return name

    def files(self, parent: str) -> dict[str, str]:
        """Path to content of every file of a committed snapshot, seen through a view; directories end with a slash."""
        key = f"view-of-{parent}-{self.mounted}"
        with self.seen(self.view(key, parent)) as root:
            found = tree(root)
        self.remove(key)
        return found


def tree(root: str) -> dict[str, str]:
    """Path to content of every file below a directory."""
    found: dict[str, str] = {}
    for directory, directories, files in os.walk(root):
        for name in directories:
            found[os.path.relpath(f"{directory}/{name}", root) + "/"] = ""
        for name in files:
            with open(f"{directory}/{name}") as file:
                found[os.path.relpath(f"{directory}/{name}", root)] = file.read()
    return found


def write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def put(files: Mapping[str, str]) -> Callable[[str], None]:
    """A change that writes these files, by path."""

    def change(root: str) -> None:
        for path, text in files.items():
            write(f"{root}/{path}", text)

    return change
