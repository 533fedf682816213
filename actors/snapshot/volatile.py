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
_MARK = "work/work/incompat/volatile"
_BOOT = "boot"


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
        mark, boot = f"{directory}/{_MARK}", f"{directory}/{_BOOT}"
        if os.path.lexists(mark):
            known = ""
            with contextlib.suppress(FileNotFoundError):
                known = os.readlink(boot)
            if known != self._boot:
                raise DataLoss(
                    f"snapshot number {number} was mounted 'volatile' when the system stopped, and may have lost "
                    f"files; remove it, or remove '{mark}' to use it as it is"
                )
            remove_tree(mark)
            return
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(boot) == self._boot:
                return
            os.unlink(boot)
        os.symlink(self._boot, boot)
