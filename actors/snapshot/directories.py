"""The numbered directories of one snapshotter, and how they come and go.

::

    root/7/            snapshot 7; mode 0700
    root/new-7-…/      being built; only its maker knows it, a restart puts it away
    root/rm-7-…/       put away; `sweep` frees it

A directory appears by a rename when all in it is as it should be, and disappears by a rename; so a crash leaves
nothing half made under a number.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
from collections.abc import Callable, Collection

from actors.snapshot.removal import remove_tree
from linux import mount
from linux.files import rename
from wharfie import failpoint

log = logging.getLogger("snapshot")

_BUILDING = "new-"
_REMOVED = "rm-"


class Directories:
    """The directory of one snapshotter; made when missing, leftovers of a crashed incarnation put away.

    Args:
        root: absolute path, one per snapshotter.
        delete: frees the space of a directory with all in it. Idempotent.
    """

    def __init__(self, root: str, *, delete: Callable[[str], None] = remove_tree) -> None:
        self.root = root
        self._delete = delete
        self._serial = itertools.count()
        os.makedirs(root, mode=0o700, exist_ok=True)
        for name in os.listdir(root):
            if name.startswith((_BUILDING, _REMOVED)):
                # Something is mounted there for a moment, to try it or to copy from it: this is where that ends when
                # its process is killed meanwhile.
                for mounted in mount.unmount_beneath(f"{root}/{name}", flags=mount.MNT_DETACH):
                    log.warning("unmounted '%s', left by a process that was killed", mounted)
            if name.startswith(_BUILDING):
                self._put_away(name)

    def path(self, number: int) -> str:
        """Where a snapshot's directory is."""
        return f"{self.root}/{number}"

    def build(self, number: int, fill: Callable[[str], None]) -> None:
        """Make a snapshot's directory: `fill` gets an empty one, which then takes its place. Idempotent and atomic.

        Two at once are no harm: the later one's work is thrown away.
        """
        place = self.path(number)
        if os.path.lexists(place):
            return
        name = self._unique(_BUILDING, number)
        building = f"{self.root}/{name}"
        os.mkdir(building, 0o700)
        try:
            fill(building)
            failpoint.hit("snapshot.prepare.filled")
            try:
                os.rename(building, place)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self._delete(building)
        except BaseException:
            # At once, since the disk may be full of it; what cannot be deleted is for the sweep.
            try:
                self._delete(building)
            except OSError:
                self._put_away(name)
            raise

    def remove(self, number: int) -> None:
        """Put a snapshot's directory away. Idempotent."""
        self._put_away(str(number))

    def move(self, number: int, place: int) -> None:
        """Give a directory another number, which has none. Atomic."""
        rename(self.path(number), self.path(place))

    def cleanup(self, known: Collection[int], highest: int) -> int:
        """Put away the directories of numbers up to `highest` that are not `known`, and tell how many."""
        removed = 0
        for number in self.numbers():
            if number <= highest and number not in known:
                self.remove(number)
                removed += 1
        return removed

    def numbers(self) -> list[int]:
        """The numbers that have a directory, in order. Other names are somebody else's."""
        return sorted(int(name) for name in os.listdir(self.root) if name.isascii() and name.isdigit())

    def sweep(self) -> None:
        """Delete what was put away. What cannot be deleted is logged and left for the next sweep."""
        for name in os.listdir(self.root):
            if name.startswith(_REMOVED):
                try:
                    self._delete(f"{self.root}/{name}")
                except OSError as error:
                    log.warning(
                        "removed snapshot directory '%s/%s' cannot be deleted: %s; is something mounted in it?",
                        self.root,
                        name,
                        error,
                    )

    def _put_away(self, name: str) -> None:
        place = f"{self.root}/{name}"
        with contextlib.suppress(FileNotFoundError):
            os.rename(place, f"{self.root}/{self._unique(_REMOVED, name)}")

    def _unique(self, prefix: str, name: str | int) -> str:
        # The pid tells incarnations apart, the serial number calls.
        return f"{prefix}{name}-{os.getpid()}-{next(self._serial)}"
