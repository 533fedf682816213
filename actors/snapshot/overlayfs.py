"""The overlayfs snapshotter: a layer is a directory, a stack of layers is one overlay mount.

::

    <n>/fs      0755 or as the parent's: what this layer adds; the upper directory while it is active
    <n>/work    0711: the kernel's own, active snapshots only

Preparing costs a handful of system calls whatever the parent holds. Needs a file system that tells file types when a
directory is read (d_type) and takes the whiteouts and attributes that overlay writes; that is tried once, at start.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from actors.plugins.context import SkipPlugin
from actors.snapshot.local import LocalBackend, bind
from actors.snapshot.removal import remove_tree
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind

_INDEX_PARAMETER = "/sys/module/overlay/parameters/index"
_UNQUOTABLE = ",\\"
"""Characters that mount(2) and overlay do not agree upon how to quote."""


class Overlayfs(LocalBackend):
    """Snapshots as layers.

    Args:
        root: absolute path of this snapshotter's directory.
        mount_options: added to every overlay mount, before the directories (`volatile`, …).
        flush: write everything to disk before a snapshot counts as committed.

    Raises:
        SkipPlugin: overlay does not work on this file system or not in this kernel.
    """

    name = "overlayfs"
    rebases = True

    def __init__(self, root: str, *, mount_options: Sequence[str] = (), flush: bool = True) -> None:
        if any(character in root for character in _UNQUOTABLE):
            raise SkipPlugin(f"directory '{root}' has a comma or a backslash in its name")
        super().__init__(root, flush=flush)
        self._options = [*_kernel_options(root), *mount_options]

    def fill(self, building: str, parents: Sequence[int], kind: Kind) -> None:
        """See `LocalBackend.fill`. An overlay shows the root of its topmost layer: it inherits mode and owner."""
        layer = f"{building}/fs"
        os.mkdir(layer, 0o755)
        mode = 0o755
        if parents:
            parent = os.stat(self.layer(parents[0]))
            mode = stat.S_IMODE(parent.st_mode)
            if parent.st_uid or parent.st_gid:
                os.chown(layer, parent.st_uid, parent.st_gid)
        os.chmod(layer, mode)  # mkdir obeyed the umask, and chown drops bits
        if kind is Kind.ACTIVE:
            os.mkdir(f"{building}/work", 0o711)

    def mounts(self, number: int, parents: Sequence[int], kind: Kind) -> list[Mount]:
        """See `Backend.mounts`. A single directory is bound, several are an overlay."""
        active = kind is Kind.ACTIVE
        if not parents:
            return [bind(self.files(number), writable=active)]
        if not active and len(parents) == 1:
            return [bind(self.layer(parents[0]), writable=False)]
        options = list(self._options)
        if active:
            options.append(f"workdir={self.directories.path(number)}/work")
            options.append(f"upperdir={self.files(number)}")
        options.append("lowerdir=" + ":".join(_quoted(self.layer(parent)) for parent in parents))
        return [Mount(type="overlay", source="overlay", options=options)]


def _quoted(directory: str) -> str:
    """A lower directory as an option: a colon separates them, so one in a path is quoted."""
    return directory.replace(":", "\\:")


def _kernel_options(root: str) -> list[str]:
    """Try overlay on this directory, and tell the options that every mount needs in this kernel.

    Raises:
        SkipPlugin: with what the kernel said.
    """
    options = ["userxattr"] if _in_user_namespace() else []
    _try_mount(root, options)
    # Asked after the try, which loads the module. With an index, layers that were copied or moved are refused as stale.
    if os.path.exists(_INDEX_PARAMETER):
        options.insert(0, "index=off")
    return options


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", "rb") as uid_map:
        return uid_map.read().split() != [b"0", b"0", b"4294967295"]


def _try_mount(root: str, options: Sequence[str]) -> None:
    from linux import mount

    trial = f"{root}/new-trial-{os.getpid()}"
    for name in ("", "/lower", "/upper", "/work", "/merged"):
        os.mkdir(trial + name, 0o700)
    try:
        if not _tells_file_types(trial):
            raise SkipPlugin(f"the file system of '{root}' does not tell file types (xfs: make it with ftype=1)")
        directories = f"lowerdir={_quoted(trial)}/lower,upperdir={trial}/upper,workdir={trial}/work"
        try:
            mount.mount("overlay", f"{trial}/merged", fstype="overlay", data=",".join([*options, directories]))
        except OSError as error:
            raise SkipPlugin(f"overlay cannot be mounted on '{root}': {error.strerror}") from None
        mount.umount(f"{trial}/merged")
    finally:
        remove_tree(trial)


def _tells_file_types(directory: str) -> bool:
    """Whether reading a directory tells the type of its entries."""
    probe = f"{directory}/probe"
    os.mkdir(probe)
    with os.scandir(directory) as entries:
        entry = next(entry for entry in entries if entry.name == "probe")
    os.rmdir(probe)
    # Python hides d_type; but of an entry that is gone only d_type still knows what it was.
    return entry.is_dir(follow_symlinks=False)
