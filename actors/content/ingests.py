"""All ingests: found again at start, made and removed whole.

::

    ingest/<sha256 of namespace/ref>/meta        `ingest.Record`, JSON, written atomically
                                    /data        the bytes
                                    /shared      instead: a hard link to the blob that stands for them
                                    /registered  `meta` under its last name: metadata knows the blob
    ingest/<…>.aborted-<sha256 of the key>/      empty; answers an abort that is repeated

A directory appears and disappears by a rename. A committed ingest leaves its `meta` behind for a while, out of sight of
clients: it answers a commit that is repeated because the first answer was lost, and tells whose blob it is when the
process died between the blob's rename and its registration.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from actors.content.ingest import Ingest, Record, read_record, write_record
from actors.content.store import BlobStore, remove_directory, remove_files

MAX_OPEN = 128
"""Ingests that hold a descriptor and a hash; the others are opened again when they are written to."""

MAX_FINISHED = 256
"""Records of commits that are kept; those that await their registration come on top."""

_ABORTED = ".aborted-"

Name = tuple[str, str]
"""Namespace and ref."""


def directory_of(ingest_root: str, namespace: str, ref: str) -> str:
    """Where an ingest is, or would be. Pure; the transfer worker reads there."""
    return f"{ingest_root}/{hashlib.sha256(f'{namespace}/{ref}'.encode()).hexdigest()}"


class Finished:
    """A committed ingest: its record, and whether its registration is known to have succeeded."""

    __slots__ = ("at_ns", "directory", "record", "registered")

    def __init__(self, directory: str, record: Record, *, at_ns: int, registered: bool = False) -> None:
        self.directory = directory
        self.record = record
        self.at_ns = at_ns
        self.registered = registered


class Ingests:
    """The table of ingests. Belongs to the loop; what it does on disk is short.

    Args:
        store: gives the directory, and the paths of blobs that stand for an ingest's bytes.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._ingests: dict[Name, Ingest] = {}
        self._finished: OrderedDict[Name, Finished] = OrderedDict()
        self._open: OrderedDict[Name, Ingest] = OrderedDict()
        for name in os.listdir(store.ingest_root):
            if _ABORTED in name:
                remove_files(f"{store.ingest_root}/{name}")
            else:
                self._load(f"{store.ingest_root}/{name}")

    def _load(self, directory: str) -> None:
        if os.path.islink(directory):
            return
        record = read_record(f"{directory}/registered")
        registered = record is not None
        record = record or read_record(f"{directory}/meta")
        # Not ours, or cut short by a power failure: left alone; a new ingest of that ref replaces it.
        if record is None or self._directory(record.namespace, record.ref) != directory:
            return
        name = (record.namespace, record.ref)
        ingest = Ingest(directory, record)
        if record.committed and not os.path.lexists(ingest.bytes_path):
            at_ns = os.stat(directory).st_mtime_ns
            self._finished[name] = Finished(directory, record, at_ns=at_ns, registered=registered)
        else:
            self._ingests[name] = ingest

    def _directory(self, namespace: str, ref: str) -> str:
        return directory_of(self._store.ingest_root, namespace, ref)

    def get(self, namespace: str, ref: str) -> Ingest | None:
        """The ingest of a ref, if there is one."""
        return self._ingests.get((namespace, ref))

    def all(self) -> list[Ingest]:
        """Every ingest, in no order."""
        return list(self._ingests.values())

    def of(self, namespace: str) -> Iterator[Ingest]:
        """The ingests of a namespace, by ref."""
        return (self._ingests[name] for name in sorted(self._ingests) if name[0] == namespace)

    def create(
        self, namespace: str, ref: str, *, total: int, expected: str, shared: str = "", lease: str = ""
    ) -> Ingest:
        """Begin an ingest. Atomic. With `shared`, that blob stands for its bytes if it is there; `lease` holds it.

        Raises:
            OSError: nothing is left of it.
        """
        directory = self._directory(namespace, ref)
        self._finished.pop((namespace, ref), None)
        temporary = self._store.temporary()
        os.mkdir(temporary, 0o755)
        try:
            is_shared = bool(shared) and self._store.link(shared, f"{temporary}/shared")
            record = Record(
                namespace=namespace,
                ref=ref,
                started_at_ns=time.time_ns(),
                total=total,
                expected=expected,
                shared=shared if is_shared else "",
                lease=lease,
            )
            write_record(temporary, record)
            if os.path.lexists(directory):
                self._remove(directory)
            os.rename(temporary, directory)
        except BaseException:
            remove_directory(temporary)
            raise
        ingest = self._ingests[namespace, ref] = Ingest(directory, record)
        return ingest

    def drop(self, ingest: Ingest) -> str:
        """Forget an ingest, at once and atomically. Returns: what the caller has to `remove_directory`."""
        return self._move(ingest, self._store.temporary())

    def abort(self, ingest: Ingest, *, key: str) -> str:
        """As `drop`, and remember the key of the request. Returns: what the caller has to `remove_files` from.

        Needs no space: an abort is how one gets some back on a full disk.
        """
        return self._move(ingest, _aborted(ingest.directory, key) if key else self._store.temporary())

    def was_aborted(self, namespace: str, ref: str, *, key: str) -> bool:
        """Whether a request with this key aborted the ref lately."""
        return bool(key) and os.path.isdir(_aborted(self._directory(namespace, ref), key))

    def forget_aborted(self, before_ns: int) -> None:
        """Forget aborts that are older than a time (since the epoch)."""
        for name in os.listdir(self._store.ingest_root):
            directory = f"{self._store.ingest_root}/{name}"
            if _ABORTED in name and os.stat(directory).st_mtime_ns < before_ns:
                remove_directory(directory)

    def _move(self, ingest: Ingest, target: str) -> str:
        self._let_go(ingest)
        os.rename(ingest.directory, target)
        return target

    def finish(self, ingest: Ingest) -> Finished:
        """An ingest has become a blob, or its bytes were there already: only its record stays."""
        self._let_go(ingest)
        name = (ingest.record.namespace, ingest.record.ref)
        done = self._finished[name] = Finished(ingest.directory, ingest.record, at_ns=time.time_ns())
        if len(self._finished) > MAX_FINISHED:
            oldest = next((other for other in self._finished.values() if other.registered), None)
            if oldest is not None:
                self.forget(oldest)
        return done

    def _let_go(self, ingest: Ingest) -> None:
        name = (ingest.record.namespace, ingest.record.ref)
        self._open.pop(name, None)
        ingest.close()
        del self._ingests[name]

    def registered(self, done: Finished) -> None:
        """Note that metadata knows the blob of a commit. Idempotent."""
        if not done.registered:
            done.registered = True
            # Not needed, only good to know: a crash before it costs some waiting, see `awaits_registration`.
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{done.directory}/meta", f"{done.directory}/registered")

    def was_named(self, namespace: str, digest: str) -> None:
        """Note that the namespace named a digest until now, so its commits of it were registered."""
        for done in self._finished.values():
            if done.record.committed == digest and done.record.namespace == namespace:
                self.registered(done)

    def finished(self, namespace: str, ref: str) -> Finished | None:
        """The last commit of a ref, if it was not long ago."""
        return self._finished.get((namespace, ref))

    def finished_before(self, at_ns: int) -> list[Finished]:
        """Commits that are older than a time (since the epoch), oldest first."""
        return [done for done in self._finished.values() if done.at_ns < at_ns]

    def has_leftovers(self) -> bool:
        """Whether any record of a commit or an abort is kept."""
        return bool(self._finished) or any(_ABORTED in name for name in os.listdir(self._store.ingest_root))

    def awaits_registration(self, digest: str) -> bool:
        """Whether a commit of this digest may have been interrupted before metadata knew of it."""
        return any(done.record.committed == digest and not done.registered for done in self._finished.values())

    def forget(self, done: Finished) -> None:
        """Drop the record of a commit."""
        name = (done.record.namespace, done.record.ref)
        if self._finished.get(name) is done:
            del self._finished[name]
            self._remove(done.directory)

    def _remove(self, directory: str) -> None:
        away = self._store.temporary()
        os.rename(directory, away)
        remove_directory(away)

    def opened(self, ingest: Ingest) -> None:
        """Note that an ingest is open and was used just now."""
        name = (ingest.record.namespace, ingest.record.ref)
        if ingest.is_open:
            self._open[name] = ingest
            self._open.move_to_end(name)

    def close_idle(self, is_busy: Callable[[Name], bool]) -> None:
        """When too many are open, close the one that was used least recently and is not at work."""
        if len(self._open) > MAX_OPEN:
            idle = next((name for name in self._open if not is_busy(name)), None)
            if idle is not None:
                self._open.pop(idle).close()


def _aborted(directory: str, key: str) -> str:
    return f"{directory}{_ABORTED}{hashlib.sha256(key.encode()).hexdigest()[:32]}"
