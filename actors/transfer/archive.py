"""An image archive read into a plan, whichever kind it is. Runs in a job: what it reads may be hostile."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from actors.transfer.directoryindex import DirectoryIndex
from actors.transfer.dockersave import DockerSave
from actors.transfer.layout import Layout
from actors.transfer.plan import ArchivePlan, Plan, ReadArchive
from actors.transfer.spool import spool
from actors.transfer.tarindex import TarIndex
from wharfie.errors import InvalidArgument


def read_archive(
    request: ReadArchive, *, archive: int, spool_file: int, progress: Callable[[int], None] | None = None
) -> ArchivePlan:
    """Make the archive readable and find out what is in it.

    Args:
        request: what the caller wants.
        archive: descriptor of the file, FIFO or pipe, at its beginning; or of a directory.
        spool_file: descriptor of an empty file, used when the archive cannot be read where it is.
        progress: told how many bytes have been spooled.

    Raises:
        WharfieError: see `spool`, `TarIndex`, `Layout` and `DockerSave`.
    """
    if stat.S_ISDIR(os.fstat(archive).st_mode):
        return ArchivePlan(plan=_plan_of_directory(archive, request), spooled=False)
    spooled = spool(archive, spool_file, seekable=request.seekable, max_bytes=request.max_bytes, progress=progress)
    return ArchivePlan(plan=plan_of(spool_file if spooled else archive, request), spooled=spooled)


def plan_of(fd: int, request: ReadArchive) -> Plan:
    """The plan for a plain tar; an OCI layout is preferred where an archive is both."""
    tar = TarIndex(fd)
    if Layout.matches(tar):
        return Layout(tar, request).plan()
    if DockerSave.matches(tar):
        return DockerSave(tar, request).plan()
    hint = "; docker archives older than version 1.1 are not supported" if tar.find("repositories") else ""
    raise InvalidArgument(
        f"archive is no image: it has neither 'oci-layout' and 'index.json' nor 'manifest.json'{hint}",
        details={"field": "path"},
    )


def _plan_of_directory(fd: int, request: ReadArchive) -> Plan:
    files = DirectoryIndex(fd)
    if not Layout.matches(files):
        raise InvalidArgument(
            "directory is no OCI layout: it has no 'oci-layout' and 'index.json'", details={"field": "path"}
        )
    return Layout(files, request).plan()
