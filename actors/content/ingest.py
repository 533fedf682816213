"""One blob that is being written: its bytes, their hash so far, and what is known about it.

The hash lives in memory and goes along with the writes. After a restart it is made again by reading what is there, when
it is first needed. Everything here blocks, and one thread at a time may use an ingest; the service's lock per ref sees
to that.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
from collections.abc import Callable
from concurrent.futures.thread import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from actors.content.store import Buffers, remove_directory
from linux.files import copy_range
from wharfie.errors import DataLoss
from wharfie.identifiers import is_digest
from wharfie.types.content import Status

if TYPE_CHECKING:
    from hashlib import _Hash

_READ_BYTES = 256 * 1024
_OPEN_DATA = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW

PARALLEL_BYTES = 512 * 1024
"""From so many bytes on they are hashed and written at the same time, by two threads."""


@functools.cache
def _hasher() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="hash")


def _hashed(state: _Hash, buffers: Buffers) -> Callable[[], _Hash]:
    """Begin to add bytes to a copy of a hash; calling what is returned waits for it."""
    after = state.copy()

    def add() -> _Hash:
        for buffer in buffers:
            after.update(buffer)
        return after

    if sum(len(buffer) for buffer in buffers) < PARALLEL_BYTES:
        return add
    return _hasher().submit(add).result


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ingest's file `meta` says.

    Attributes:
        lease: that it was begun with; without one it expires by its age.
        shared: digest of the blob that stands for the bytes; nothing was transferred.
        committed: digest of the blob that the bytes became or are about to become; once there is no file `data` any
            more, only the name in metadata may still be missing.
        placed: the commit put that blob in place; it was not there before.
        key: idempotency key of the commit that wrote `committed`.
    """

    namespace: str
    ref: str
    started_at_ns: int
    total: int = 0
    expected: str = ""
    shared: str = ""
    lease: str = ""
    committed: str = ""
    committed_size: int = 0
    placed: bool = False
    key: str = ""


class Ingest:
    """An ingest on disk.

    Args:
        directory: holds `meta` and, until it was committed, `data`, or `shared` while a blob stands for it.
    """

    def __init__(self, directory: str, record: Record) -> None:
        self.directory = directory
        self.record = record
        self._data = f"{directory}/data"
        self.is_shared = os.path.lexists(f"{directory}/shared") and not os.path.lexists(self._data)
        """A blob stands for the bytes: a hard link to it, so that it may be deleted meanwhile."""
        self._fd = -1
        self._hash: _Hash | None = None
        status = self._stat()
        self.is_damaged = status is not None and not stat.S_ISREG(status.st_mode)
        """Something else than a file is where its bytes should be."""
        self.offset = status.st_size if status and not self.is_damaged else 0
        # A blob that stands for the bytes may be much older than the ingest.
        self.updated_at_ns = max(record.started_at_ns, status.st_mtime_ns if status else 0)
        self.inherited = self.offset
        """Bytes that were there before this process wrote any."""

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.bytes_path, follow_symlinks=False)
        except FileNotFoundError:
            return None

    @property
    def is_open(self) -> bool:
        """A descriptor and the state of the hash are held."""
        return self._fd >= 0

    def status(self) -> Status:
        """The ingest as clients see it."""
        record = self.record
        return Status(
            ref=record.ref,
            offset=self.offset,
            total=self.offset if self.is_shared else record.total,
            expected=record.expected,
            started_at_ns=record.started_at_ns,
            updated_at_ns=self.updated_at_ns,
        )

    # -- bytes -------------------------------------------------------------------------------------------------------

    def open(self, algorithm: str) -> None:
        """Open the data and bring the hash up to the end of it; a hash of another algorithm is made anew.

        Raises:
            DataLoss: there is something else than a file in their place, or nothing where a blob stood for them.
        """
        if self._fd < 0:
            if self.is_damaged:
                raise self._damaged("is no file")
            try:
                if self.is_shared:
                    self._fd = os.open(self.bytes_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                else:
                    self._fd = os.open(self._data, _OPEN_DATA, 0o600)
            except FileNotFoundError:
                raise self._damaged("is gone") from None
            self.offset = os.fstat(self._fd).st_size
        if self._hash is None or self._hash.name != algorithm:
            state = hashlib.new(algorithm)
            buffer = memoryview(bytearray(min(_READ_BYTES, self.offset)))
            done = 0
            while done < self.offset:
                count = os.preadv(self._fd, [buffer[: self.offset - done]], done)
                if not count:
                    raise self._damaged("became shorter while it was read")
                state.update(buffer[:count])
                done += count
            self._hash = state

    def _damaged(self, what: str) -> DataLoss:
        return DataLoss(
            f"data of ref '{self.record.ref}' {what}; abort it, or write it anew from offset 0",
            details={"ref": self.record.ref},
        )

    def needs_hashing(self, algorithm: str) -> bool:
        """Whether `open` would have to read bytes."""
        return self.offset > 0 and (self._hash is None or self._hash.name != algorithm)

    def append(self, buffers: Buffers) -> None:
        """Write at the end and hash. When the disk is full nothing of it stays. The ingest must be open."""
        if self.is_shared:
            raise RuntimeError("bytes were appended to a shared ingest before `own`")
        hashed = self._hash
        if hashed is None:
            raise RuntimeError("bytes were appended to an ingest that is not open")
        position = self.offset
        # A copy: if the disk is full, the hash is as it was.
        hashing = _hashed(hashed, buffers)
        try:
            for buffer in buffers:
                data = memoryview(buffer)
                while data:
                    count = os.pwrite(self._fd, data, position)
                    position += count
                    data = data[count:]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.offset)
            raise
        self._hash = hashing()
        self._moved(position)

    def holds(self, buffers: Buffers, offset: int) -> bool:
        """Whether these bytes are what is at `offset`, as far as the ingest reaches. The ingest must be open."""
        for buffer in buffers:
            data = memoryview(buffer)
            while data:
                there = os.pread(self._fd, min(len(data), _READ_BYTES, max(self.offset - offset, 0)), offset)
                if not there:
                    return True
                if data[: len(there)] != there:
                    return False
                offset += len(there)
                data = data[len(there) :]
        return True

    def begin_anew(self, algorithm: str) -> None:
        """Open with no bytes, whatever was there or stood for them."""
        if self.is_shared:
            self.close()
            self._unshare()
        if self.is_damaged:
            remove_directory(self._data)
            self.is_damaged = False
        if self._fd < 0:
            self._fd = os.open(self._data, _OPEN_DATA, 0o600)
        os.ftruncate(self._fd, 0)
        self._hash = hashlib.new(algorithm)
        self.inherited = 0
        self._moved(0)

    def own(self) -> None:
        """Copy the blob that stands for the bytes into data of the ingest's own. The ingest must be open."""
        if not self.is_shared:
            return
        temporary = f"{self.directory}/data.tmp"
        fd = os.open(temporary, _OPEN_DATA | os.O_TRUNC, 0o600)
        try:
            copy_range(self._fd, fd, size=self.offset)
            os.rename(temporary, self._data)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        os.close(self._fd)
        self._fd = fd
        self._unshare()

    def _unshare(self) -> None:
        """Nothing stands for the bytes any more."""
        self.save(shared="")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.bytes_path)
        self.is_shared = False

    def digest(self) -> str:
        """The digest of all bytes so far. The ingest must be open, unless a blob of its algorithm stands for them."""
        if self.is_shared and self._fd < 0:
            return self.record.shared
        if self._hash is None:
            raise RuntimeError("the digest of an ingest that is not open was asked for")
        return f"{self._hash.name}:{self._hash.hexdigest()}"

    def check_shared(self) -> None:
        """Read the blob that stands for the bytes. Raises: DataLoss (it is not what its digest says)."""
        self.open(self.record.shared.partition(":")[0])
        if self.digest() != self.record.shared:
            self.close()
            raise self._damaged("has other bytes than the digest of the blob that stood for it")

    def sync(self) -> None:
        """Write the data to disk. The ingest must be open.

        Raises:
            DataLoss: somebody else has changed its size.
        """
        os.fsync(self._fd)
        size = os.fstat(self._fd).st_size
        if size != self.offset:
            expected, self.offset = self.offset, size
            self.close()
            raise self._damaged(f"has {size} bytes on disk, not {expected}")

    @property
    def bytes_path(self) -> str:
        """Where the bytes are: its own, or the link to the blob that stands for them."""
        return f"{self.directory}/shared" if self.is_shared else self._data

    def discard(self) -> None:
        """Delete the bytes. Idempotent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.bytes_path)

    def close(self) -> None:
        """Let go of the descriptor and the hash; both come back when needed. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._hash = None

    def _moved(self, offset: int) -> None:
        self.offset = offset
        self.updated_at_ns = os.fstat(self._fd).st_mtime_ns

    # -- meta --------------------------------------------------------------------------------------------------------

    def save(self, **changes: str | int) -> None:
        """Change fields of the record, on disk first. Atomic."""
        record = msgspec.structs.replace(self.record, **changes)
        if record != self.record:
            write_record(self.directory, record)
            self.record = record


def write_record(directory: str, record: Record) -> None:
    """Write `meta` of an ingest. Atomic."""
    temporary = f"{directory}/meta.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        file.write(msgspec.json.encode(record))
    os.rename(temporary, f"{directory}/meta")


def read_record(path: str) -> Record | None:
    """What the file `meta` says; None when it is not there, was cut short by a power failure or is not ours."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            record = msgspec.json.decode(file.read(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None
    digests = (record.expected, record.shared, record.committed)
    return record if all(is_digest(digest) for digest in digests if digest) else None
