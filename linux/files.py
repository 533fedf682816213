"""Files and file systems: renames that check, copies that the kernel makes, flushing a file system."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from linux.syscall import check, libc

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4

_AT_FDCWD = -100
_STATFS_BYTES = 256  # more than any architecture's; the type comes first
_TMPFS_MAGIC = 0x01021994
_CHUNK_SIZE = 16 * 1024 * 1024
_COPY_BUFFER_SIZE = 1024 * 1024

_renameat2 = libc.renameat2
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def rename(
    source: str | bytes,
    target: str | bytes,
    *,
    flags: int = RENAME_NOREPLACE,
    source_dir_fd: int = _AT_FDCWD,
    target_dir_fd: int = _AT_FDCWD,
) -> None:
    """Call renameat2(2): atomic.

    `RENAME_NOREPLACE` raises `FileExistsError`, `RENAME_EXCHANGE` swaps the two.
    """
    if _renameat2(source_dir_fd, os.fsencode(source), target_dir_fd, os.fsencode(target), flags) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


def syncfs(fd: int) -> None:
    """Write out everything of the file system that `fd` lies on; errors since `fd` was opened are raised."""
    check(libc.syncfs(fd))


def is_in_memory(path: str) -> bool:
    """Whether a file lies on tmpfs, which has no disk to be flushed to. Source: statfs(2)."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    check(libc.statfs(os.fsencode(path), buffer))
    return ctypes.c_long.from_buffer(buffer).value == _TMPFS_MAGIC


def data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of what is no hole in the first `size` bytes of a file; all, where the file system cannot tell.

    Source: lseek(2).
    """
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole to the end
                return
            if error.errno != errno.EINVAL:
                raise
            yield end, size
            return
        if start >= size:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end


def copy_range(source_fd: int, target_fd: int, *, size: int, source_offset: int = 0, target_offset: int = 0) -> int:
    """Copy up to `size` bytes between two files, in the kernel where it can (reflinks included).

    Returns the number of bytes copied, fewer only at the end of the source. File offsets are not used.
    """
    copied = 0
    while copied < size:
        try:
            count = os.copy_file_range(
                source_fd,
                target_fd,
                min(size - copied, _CHUNK_SIZE),
                offset_src=source_offset + copied,
                offset_dst=target_offset + copied,
            )
        except OSError as error:
            # Across file systems, or on ones that cannot (pipes, /proc): read and write.
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM):
                raise
            count = 0
        if count == 0:
            # Also for the files of /proc, of which copy_file_range says that they are empty.
            return copied + _copy_by_hand(
                source_fd,
                target_fd,
                size=size - copied,
                source_offset=source_offset + copied,
                target_offset=target_offset + copied,
            )
        copied += count
    return copied


def _copy_by_hand(source_fd: int, target_fd: int, *, size: int, source_offset: int, target_offset: int) -> int:
    copied = 0
    while copied < size:
        data = os.pread(source_fd, min(size - copied, _COPY_BUFFER_SIZE), source_offset + copied)
        if not data:
            break
        view = memoryview(data)
        while view:
            count = os.pwrite(target_fd, view, target_offset + copied)
            copied += count
            view = view[count:]
    return copied
