"""Sealed anonymous files: bytes that can be handed to another process and changed by nobody."""

from __future__ import annotations

import fcntl
import os

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def create_sealed(name: str, data: bytes | bytearray | memoryview) -> int:
    """Return a descriptor of a sealed file with `data`, close-on-exec; the caller closes it.

    `name` is for /proc.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_sealed(fd: int) -> bool:
    """Say whether `fd` is a file that nobody can change any more."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError:
        return False


def read_sealed(fd: int, *, max_size: int) -> bytes:
    """Return the content of a sealed file; the file offset is neither used nor moved.

    Raises `ValueError` when the file is not sealed or larger than `max_size` bytes.
    """
    if not is_sealed(fd):
        raise ValueError("the descriptor is not a sealed memory file")
    size = os.fstat(fd).st_size
    if size > max_size:
        raise ValueError(f"the memory file has {size} bytes, at most {max_size} are accepted")
    parts = []
    offset = 0
    while offset < size:
        part = os.pread(fd, size - offset, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
