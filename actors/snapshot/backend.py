"""What a snapshotter promises to the service in front of it.

A back-end knows numbers, never names: metadata gives each snapshot a number that is never given again, and the
back-end keeps one directory of that number. Its life::

    prepare ──► mounts* ──► commit ──► (parent of others) ──► remove
                        └─► remove

Every method blocks, may be called from any thread and repeated after a crash at any point: whoever died in the middle
left either nothing that is seen or the whole. Two calls about one number never run at the same time; the service sees
to that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from actors.snapshot.idmaps import IdMaps
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind, Usage


class Backend(ABC):
    """One snapshotter.

    Attributes:
        name: what requests call it; a directory of this name holds its snapshots.
        copies: `prepare` of an active snapshot takes as long as its parent is large, so it must not run in the loop.
        rebases: a snapshot prepared without a parent may be committed on top of one.
        restores: `intact` and `restore` work, so that what was lost is found and made anew.
        maps_ids: `prepare` and `mounts` take mappings of ids; others never get any.
    """

    name: ClassVar[str]
    copies: ClassVar[bool] = False
    rebases: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    maps_ids: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> None:
        """Make the directory of a new snapshot. Idempotent and atomic.

        Args:
            number: of the new snapshot.
            parents: numbers of its ancestors, nearest first; all committed.
            kind: active or view.
            ids: as whose the parents' files are seen; this takes as long as a copy.

        Raises:
            DataLoss: the directory of the nearest parent is gone.
            FailedPrecondition: ids cannot be mapped here.
        """

    @abstractmethod
    def mounts(self, number: int, parents: Sequence[int], kind: Kind, ids: IdMaps | None = None) -> list[Mount]:
        """How to see the snapshot's files: the same list each time. Touches no file unless ids are mapped."""

    @abstractmethod
    def commit(self, number: int) -> Usage:
        """Flush what was written and measure it: from now on nobody writes there. Idempotent."""

    def commit_at_once(self, number: int) -> Usage | None:
        """What `commit` does, if that takes less than a trip to the thread pool; else None, and nothing was done."""
        del number
        return None

    @abstractmethod
    def usage(self, number: int) -> Usage:
        """Bytes on disk and inodes of this snapshot alone, a file with several links counted once."""

    @abstractmethod
    def remove(self, number: int) -> None:
        """Put the directory away, out of sight at once; `sweep` frees its space. Idempotent."""

    @abstractmethod
    def cleanup(self, known: Collection[int], highest: int) -> int:
        """Put away every directory that no name knows and tell how many.

        Args:
            known: numbers that have a name in some namespace.
            highest: the highest number ever given when `known` was read; what lies above belongs to a request that is
                still under way and stays.
        """

    def numbers(self) -> list[int]:
        """The numbers that have a directory, for who looks for those without a name; none when it cannot be told."""
        return []

    def intact(self) -> list[int]:
        """The numbers of which a committed snapshot has its files, for who looks for what is lost."""
        return self.numbers()

    def restore(self, number: int, lost: int) -> None:
        """Make the directory of a snapshot that was written anew that of the one that lost its own. Atomic.

        Raises:
            FileExistsError: that one has a directory.
        """
        raise NotImplementedError(f"snapshotter '{self.name}' restores nothing")

    def close(self) -> None:  # noqa: B027
        """Let go of what a stopped daemon needs no more: the worker ends in order. What is in use is not disturbed."""

    @abstractmethod
    def sweep(self) -> None:
        """Free the space of what was put away, also by earlier incarnations. Takes long; resumable by nature."""
