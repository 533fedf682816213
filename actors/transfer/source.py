"""The archive that a request names, opened: a file, a FIFO, a directory, or an ingest of the content worker.

Whoever reads pieces of it later is given its path below `/proc`, so that everybody reads the file that was opened here,
whatever its name leads to by then.
"""

from __future__ import annotations

import asyncio
import os
import stat
import tempfile
from types import TracebackType
from typing import IO, Self

from actors.content.ingest import read_record
from actors.content.ingests import directory_of
from actors.content.store import blob_path
from actors.transfer.directoryindex import open_beneath
from actors.transfer.plan import Source
from linux import memfd
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from wharfie.identifiers import check_name
from wharfie.types.transfer import Import

WRITER_TIMEOUT_S = 30.0
"""How long a FIFO may be without anybody who writes to it."""


class Archive:
    """An open archive and its spool file. Use it with `with`; both are gone at the end.

    Attributes:
        fd: the archive, at its beginning.
        seekable: it can be read again from its beginning: a regular file, or a directory.
    """

    def __init__(self, fd: int, *, temp: str) -> None:
        self.fd = fd
        mode = os.fstat(fd).st_mode
        self.seekable = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=temp)  # noqa: SIM115 - closed by __exit__
        self._read_from = fd

    @property
    def spool_fd(self) -> int:
        """A file without a name for what has to be copied."""
        return self._spool.fileno()

    def use_spool(self) -> None:
        """Bytes are read from the copy from now on."""
        self._read_from = self.spool_fd

    @property
    def read_fd(self) -> int:
        """The descriptor of the plain, seekable archive."""
        return self._read_from

    def open(self, source: Source) -> int:
        """A descriptor of the file with these bytes, which the caller closes.

        Raises:
            FailedPrecondition: it was there when the archive was read, and is not any more.
        """
        if source.data is not None:
            return memfd.create_sealed("blob", source.data)
        if not source.member:
            return os.dup(self._read_from)
        try:
            return open_beneath(self.fd, source.member)
        except OSError as error:
            raise FailedPrecondition(
                f"file '{source.member}' changed while its directory was imported: {(error.strerror or '').lower()}",
                details={"member": source.member},
            ) from None

    def rewind(self) -> None:
        """Begin anew, with an empty copy; only for an archive that is seekable."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        os.ftruncate(self.spool_fd, 0)
        os.lseek(self.spool_fd, 0, os.SEEK_SET)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)
        self._spool.close()


def proc_path(fd: int) -> str:
    """The path of an open file of this process, for others."""
    return f"/proc/{os.getpid()}/fd/{fd}"


async def open_archive(request: Import, *, namespace: str, content_root: str, temp: str) -> Archive:
    """Open what the request names.

    Raises:
        InvalidArgument: not exactly one of `path` and `ref`, a relative path, no file.
        NotFound: there is no such file or ingest.
        PermissionDenied: the daemon may not read it.
        FailedPrecondition: nobody writes to the FIFO.
    """
    if bool(request.path) == bool(request.ref):
        raise InvalidArgument("exactly one of 'path' and 'ref' names the archive", details={"field": "path"})
    if request.ref:
        return Archive(_open_ingest(namespace, request.ref, content_root), temp=temp)
    fd = _open_path(request.path)
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            await _writer(fd, request.path)
        os.set_blocking(fd, True)
        return Archive(fd, temp=temp)
    except BaseException:
        os.close(fd)
        raise


def _open_path(path: str) -> int:
    if not os.path.isabs(path) or "\0" in path:
        raise InvalidArgument(f"path '{path[:256]}' is not absolute", details={"field": "path"})
    try:
        # Not blocking: opening a FIFO would otherwise wait for its writer, and the whole worker with it.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"file '{path}' not found", details={"field": "path"}) from None
    except PermissionError:
        raise PermissionDenied(f"file '{path}' cannot be read by the daemon", details={"field": "path"}) from None
    except OSError as error:
        raise InvalidArgument(f"file '{path}' cannot be read: {error.strerror}", details={"field": "path"}) from None
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode)):
        os.close(fd)
        raise InvalidArgument(f"'{path}' is neither a file nor a FIFO nor a directory", details={"field": "path"})
    return fd


async def _writer(fd: int, path: str) -> None:
    """Wait until somebody has written to the FIFO, or has opened it and gone away."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        async with asyncio.timeout(WRITER_TIMEOUT_S):
            await ready.wait()
    except TimeoutError:
        raise FailedPrecondition(
            f"nobody wrote to FIFO '{path}' within {WRITER_TIMEOUT_S:g} s; when an import of it was cut short, run its"
            " writer and the import again: what was read of it is gone",
            details={"field": "path"},
        ) from None
    finally:
        loop.remove_reader(fd)


def _open_ingest(namespace: str, ref: str, content_root: str) -> int:
    """The bytes of an ingest, which are content's and only read here."""
    check_name(ref, field="ref")
    directory = directory_of(f"{content_root}/ingest", namespace, ref)
    record = read_record(f"{directory}/meta")
    missing = NotFound(f"ref '{ref}' not found in namespace '{namespace}'; write to it first", details={"ref": ref})
    if record is None:
        raise missing
    path = blob_path(f"{content_root}/blobs", record.shared) if record.shared else f"{directory}/data"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise missing from None
