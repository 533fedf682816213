"""The files of blobs.

::

    blobs/<algorithm>/<hex>    read-only; whole and verified from the moment it has this name
    ingest/…                   see `ingests.py`
    ingest/tmp-…               being filled by one call; a restart removes it

Everything here blocks. What it does not know it leaves alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Sequence

from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.identifiers import is_digest

ALGORITHMS = ("sha256", "sha384", "sha512")

_BUFFER_BYTES = 256 * 1024
"""Copied and hashed at a time: fits the second-level cache, so the hash reads what the copy has just brought in."""

_TEMPORARY = "tmp-"

Buffers = Sequence[bytes | memoryview]


def blob_path(blobs: str, digest: str) -> str:
    """Where a blob is, or would be, below the directory `blobs`; the digest must have been checked. Pure."""
    algorithm, _, encoded = digest.partition(":")
    return f"{blobs}/{algorithm}/{encoded}"


class BlobStore:
    """Blobs by digest, below one directory.

    Args:
        root: absolute path; made when missing.
    """

    def __init__(self, root: str) -> None:
        self.ingest_root = f"{root}/ingest"
        self._blobs = f"{root}/blobs"
        self._serial = 0
        for directory in (root, self._blobs, self.ingest_root, *(f"{self._blobs}/{name}" for name in ALGORITHMS)):
            os.makedirs(directory, mode=0o755, exist_ok=True)
        for name in os.listdir(self.ingest_root):
            if name.startswith(_TEMPORARY):
                path = f"{self.ingest_root}/{name}"
                if os.path.isdir(path):
                    remove_directory(path)  # or the link to one
                else:
                    os.unlink(path)

    def path(self, digest: str) -> str:
        """Where a blob is, or would be; the digest must have been checked."""
        return blob_path(self._blobs, digest)

    def digests(self) -> list[str]:
        """The digests of all files that are blobs, in no order. Others are somebody else's."""
        found = (f"{name}:{encoded}" for name in ALGORITHMS for encoded in os.listdir(f"{self._blobs}/{name}"))
        return [digest for digest in found if is_digest(digest)]

    def size(self, digest: str) -> int | None:
        """Bytes of a blob; None when there is none, or something that is no file is in its place."""
        try:
            found = os.stat(self.path(digest), follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def open(self, digest: str) -> int:
        """A descriptor for reading, the caller's to close; the bytes stay readable even when the blob is deleted.

        Raises:
            FileNotFoundError: there is no such blob.
            OSError: with ELOOP, a symbolic link is in its place.
        """
        return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def temporary(self) -> str:
        """A fresh name in the ingest directory, on the same file system as the blobs."""
        self._serial += 1
        return f"{self.ingest_root}/{_TEMPORARY}{os.getpid()}-{self._serial}"

    def adopt(self, path: str, digest: str) -> None:
        """Make a complete, synced, verified file the blob of its digest. Atomic; replaces an equal or damaged one."""
        os.chmod(path, 0o444)
        self._rename(path, digest)

    def _rename(self, path: str, digest: str) -> None:
        target = self.path(digest)
        os.rename(path, target)
        fd = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def place(self, buffers: Buffers, digest: str) -> None:
        """Make bytes, whose digest the caller has verified, a blob: synced, then in place. Atomic.

        Raises:
            OSError: the disk is full or broken; nothing is left of it.
        """
        temporary = self.temporary()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            try:
                for buffer in buffers:
                    write_all(fd, memoryview(buffer))
                os.fsync(fd)
            finally:
                os.close(fd)
            self._rename(temporary, digest)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def link(self, digest: str, path: str) -> bool:
        """Give a blob's file one more name, which stays when the blob is deleted. Returns whether there is one."""
        try:
            os.link(self.path(digest), path, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EMLINK):
                raise
            return False
        return True

    def unlink(self, digest: str) -> None:
        """Delete a blob's file. Idempotent; who reads it goes on reading."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(digest))

    def unlink_file(self, digest: str, file: os.stat_result) -> bool:
        """Delete a blob's file if it is still this one: what was put in its place meanwhile stays. Returns whether."""
        try:
            found = os.stat(self.path(digest), follow_symlinks=False)
        except FileNotFoundError:
            return False
        if not os.path.samestat(found, file):
            return False
        self.unlink(digest)
        return True

    def copy_in(self, path: str, *, offset: int, length: int, digest: str) -> str:
        """Copy a piece of a local file to a temporary file, hashing it in the same pass, and sync it.

        Returns: the temporary file, verified, for `adopt`.

        Raises:
            InvalidArgument: the file cannot be read, or ends before the piece does.
            FailedPrecondition: the bytes have another digest.
        """
        try:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidArgument(
                f"file '{path}' cannot be read: {error.strerror}", details={"field": "path"}
            ) from None
        temporary = self.temporary()
        try:
            target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                found = _copy_and_hash(source, target, offset=offset, length=length, digest=digest)
                if found != digest:
                    raise FailedPrecondition(
                        f"bytes {offset} to {offset + length} of '{path}' have digest '{found}', expected '{digest}'",
                        details={"reason": "digest", "digest": found},
                    )
                os.fsync(target)
            finally:
                os.close(target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(source)
        return temporary


def _copy_and_hash(source: int, target: int, *, offset: int, length: int, digest: str) -> str:
    algorithm = digest.partition(":")[0]
    state = hashlib.new(algorithm)
    buffer = memoryview(bytearray(min(_BUFFER_BYTES, max(length, 1))))
    copied = 0
    while copied < length:
        count = os.preadv(source, [buffer[: length - copied]], offset + copied)
        if not count:
            raise InvalidArgument(
                f"the file ends at byte {offset + copied}, before byte {offset + length}", details={"field": "length"}
            )
        piece = buffer[:count]
        state.update(piece)
        write_all(target, piece)
        copied += count
    return f"{algorithm}:{state.hexdigest()}"


def write_all(fd: int, data: memoryview) -> None:
    """Write all of it at the descriptor's position, in as many calls as the kernel wants."""
    while data:
        data = data[os.write(fd, data) :]


def remove_files(directory: str) -> None:
    """Empty a directory; nothing is followed out of it. Idempotent."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_directory(entry.path)
            else:
                os.unlink(entry.path)


def remove_directory(directory: str) -> None:
    """Remove a directory with all that is in it, or a symbolic link in its place. Idempotent."""
    if os.path.islink(directory):
        os.unlink(directory)
        return
    remove_files(directory)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)
