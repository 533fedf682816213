"""The native snapshotter: every snapshot is a full copy of its parent. Works on any file system and in any kernel.

::

    <n>/fs      all files of the snapshot, its parents' included

A view copies nothing: its parent is bound read-only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from actors.snapshot.copytree import copy_tree
from actors.snapshot.idmaps import IdMaps
from actors.snapshot.local import LocalBackend, bind
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind


class Native(LocalBackend):
    """Snapshots as copies."""

    name = "native"
    copies = True

    def fill(self, building: str, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """See `LocalBackend.fill`."""
        del ids
        files = f"{building}/fs"
        if parents and kind is Kind.ACTIVE:
            copy_tree(self.files(parents[0]), files)
        else:
            os.mkdir(files, 0o755)
            os.chmod(files, 0o755)  # mkdir obeyed the umask

    def mounts(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> list[Mount]:
        """See `Backend.mounts`."""
        del ids
        if kind is Kind.ACTIVE:
            return [bind(self.files(number), writable=True)]
        return [bind(self.files(parents[0] if parents else number), writable=False)]
