"""Overlay mounts with `volatile`: nothing is synced, and the kernel marks the work directory.

It refuses to mount that directory again, since after a crash of the system files may be missing. Within the same boot
none are: then the mark is taken away, so that a container can be started a second time.
"""

from __future__ import annotations

import contextlib
import os

from actors.snapshot.directories import Directories
from actors.snapshot.removal import remove_tree
from wharfie.errors import DataLoss

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
MARK = os.path.join("work", "work", "incompat", "volatile")
"""Below a snapshot's directory: our work directory, then the kernel's own names in it."""

_BOOT = "boot"
_USED = " used"


class Volatile:
    """The snapshots of one snapshotter.

    Args:
        directories: of its snapshots.
    """

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        with open(_BOOT_ID) as file:
            self._boot = file.read().strip()

    def allow(self, number: int) -> None:
        """Let a snapshot be mounted (again). Idempotent.

        Raises:
            DataLoss: it was mounted in an earlier boot.
        """
        directory = self._directories.path(number)
        mark, boot = f"{directory}/{MARK}", f"{directory}/{_BOOT}"
        known = ""
        with contextlib.suppress(FileNotFoundError):
            known = os.readlink(boot)
        is_marked = os.path.lexists(mark)
        if (is_marked or known.endswith(_USED)) and known.removesuffix(_USED) != self._boot:
            raise DataLoss(
                f"snapshot number {number} was mounted 'volatile' when the system stopped, and may have lost files; "
                f"remove it, or remove '{mark}' and '{boot}' to use it as it is"
            )
        wanted = self._boot + _USED if is_marked or known.endswith(_USED) else self._boot
        if known != wanted:
            # It may be mounted at this moment: what says so outlives the mark.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{boot}.new")
            os.symlink(wanted, f"{boot}.new")
            os.rename(f"{boot}.new", boot)
        if is_marked:
            remove_tree(mark)
