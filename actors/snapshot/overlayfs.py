"""The overlayfs snapshotter: a layer is a directory, a stack of layers is one overlay mount.

::

    <n>/fs      0755 or as the parent's: what this layer adds; the upper directory while it is active
    <n>/work    0711: the kernel's own, active snapshots only
    <n>/copied  instead of it: a copy of all layers with other owners, where the kernel cannot show them so
    <n>/boot    with `volatile`: the boot in which it was mounted

Preparing costs a handful of system calls whatever the parent holds. Needs a file system that tells file types when a
directory is read (d_type) and takes the whiteouts and attributes that overlay writes; that is tried once, at start.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Sequence

import msgspec

from actors.plugins.context import SkipPlugin
from actors.snapshot.copytree import copy_tree
from actors.snapshot.diskusage import measure_few
from actors.snapshot.idmaps import IdMaps
from actors.snapshot.local import LocalBackend, bind
from actors.snapshot.overlaytrial import can_map, kernel_options, quoted
from actors.snapshot.volatile import Volatile
from linux import mount
from linux.files import is_in_memory
from wharfie.errors import FailedPrecondition
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage

_COPIED = "copied"
_FEW = 64
"""Files at most that are measured in the worker's loop."""

_UNQUOTABLE = ",\\"
"""Characters that mount(2) and overlay do not agree upon how to quote."""


class Overlayfs(LocalBackend):
    """Snapshots as layers.

    Args:
        root: absolute path of this snapshotter's directory.
        mount_options: added to every overlay mount, before the directories (`volatile`, …).
        flush: write everything to disk before a snapshot counts as committed.
        slow_chown: where the kernel cannot map the owners of layers, copy the files and change them.

    Raises:
        SkipPlugin: overlay does not work on this file system or not in this kernel.
    """

    name = "overlayfs"
    rebases = True
    maps_ids = True

    def __init__(
        self, root: str, *, mount_options: Sequence[str] = (), flush: bool = True, slow_chown: bool = False
    ) -> None:
        if any(character in root for character in _UNQUOTABLE):
            raise SkipPlugin(f"directory '{root}' has a comma or a backslash in its name")
        super().__init__(root, flush=flush)
        self._options = [*kernel_options(root), *mount_options]
        self._volatile = Volatile(self.directories) if "volatile" in mount_options else None
        self._slow_chown = slow_chown

    @functools.cached_property
    def shows_mapped(self) -> bool:
        """Whether this kernel mounts layers of this file system with other owners; tried once."""
        return can_map(self.directories.root)

    def prepare(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """See `Backend.prepare`.

        Raises:
            DataLoss: it was mounted `volatile`, and the system crashed.
        """
        super().prepare(number, parents, kind, ids)
        if self._volatile is not None and kind is Kind.ACTIVE and parents:
            self._volatile.allow(number)

    def commit_at_once(self, number: int) -> Usage | None:
        """See `Backend.commit_at_once`. In memory there is nothing to flush."""
        return measure_few(self.files(number), at_most=_FEW) if self._is_in_memory or not self._flush else None

    @functools.cached_property
    def _is_in_memory(self) -> bool:
        return is_in_memory(self.directories.root)

    def fill(self, building: str, parents: Sequence[int], kind: Kind, ids: IdMaps | None) -> None:
        """See `LocalBackend.fill`. An overlay shows the root of its topmost layer: it inherits mode and owner."""
        layer = f"{building}/fs"
        if ids is not None and parents and not self.shows_mapped:
            self._copy_mapped(building, parents, ids)
            return
        os.mkdir(layer, 0o755)
        mode, owner = 0o755, (0, 0)
        if parents:
            parent = os.stat(self.layer(parents[0]))
            mode, owner = stat.S_IMODE(parent.st_mode), (parent.st_uid, parent.st_gid)
        if ids is not None:
            owner = ids.owner(*owner)
        if owner != (0, 0):
            os.chown(layer, *owner)
        os.chmod(layer, mode)  # mkdir obeyed the umask, and chown drops bits
        if kind is Kind.ACTIVE:
            os.mkdir(f"{building}/work", 0o711)

    def _copy_mapped(self, building: str, parents: Sequence[int], ids: IdMaps) -> None:
        if not self._slow_chown:
            raise FailedPrecondition(
                "the owners of layers cannot be mapped here: this needs Linux 5.19 and a file system that takes part; "
                "set snapshot.slow_chown to have the files copied instead"
            )
        shown = f"{building}/shown"
        os.mkdir(shown, 0o700)
        mount.mount_all(
            [(one.type, one.source, "", tuple(one.options)) for one in self.mounts(0, parents, Kind.VIEW)], root=shown
        )
        try:
            copy_tree(shown, f"{building}/fs", owner=ids.owner)
        finally:
            mount.umount(shown, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
        os.rmdir(shown)
        os.mkdir(f"{building}/{_COPIED}", 0o700)

    def mounts(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> list[Mount]:
        """See `Backend.mounts`. A single directory is bound, several are an overlay."""
        active = kind is Kind.ACTIVE
        if not parents:
            return [bind(self.files(number), writable=active)]
        mapped = [] if ids is None else ids.options()
        if mapped and os.path.lexists(f"{self.directories.path(number)}/{_COPIED}"):
            return [bind(self.files(number), writable=active)]
        if not active and len(parents) == 1:
            [shown] = [bind(self.layer(parents[0]), writable=False)]
            return [msgspec.structs.replace(shown, options=[*shown.options, *mapped])] if mapped else [shown]
        options = [*self._options, *mapped]
        if active:
            options.append(f"workdir={self.directories.path(number)}/work")
            options.append(f"upperdir={self.files(number)}")
        options.append("lowerdir=" + ":".join(quoted(self.layer(parent)) for parent in parents))
        return [Mount(type="overlay", source="overlay", options=options)]
