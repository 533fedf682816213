"""Watching a control group for out-of-memory kills, on cgroup v1 and v2.

The kernel tells by different means: v1 writes to an eventfd that was registered with `cgroup.event_control`,
v2 changes `memory.events`, which inotify reports. Here both are one descriptor to wait on and one count to
read.
"""

from __future__ import annotations

import ctypes
import errno
import os
from types import TracebackType
from typing import Self

from linux import cgroups
from linux.syscall import check, libc

_IN_MODIFY = 0x2
_IN_CLOEXEC = os.O_CLOEXEC
_IN_NONBLOCK = os.O_NONBLOCK
_INOTIFY_BUFFER_SIZE = 4096
_FILE_SIZE = 4096

_inotify_add_watch = libc.inotify_add_watch
_inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def parse_count(text: str, key: str = "oom_kill") -> int:
    """Return the number behind `key` in the lines of memory.events or memory.oom_control; 0 when absent.

    Pure.
    """
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


# Not `open`: every shim does this, and the machinery of file objects costs it memory that it would otherwise share.
def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _FILE_SIZE).decode()
    finally:
        os.close(fd)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


class OomWatch:
    """Tells when the kernel kills for want of memory in one group; a context manager that closes its descriptor.

    Wait on `fileno()` for reading, then ask `read_count()`. The descriptor also becomes readable when the
    group is removed, and may do so without a kill: only a count that has grown means one. v1 tells just before
    it kills, so ask once more when a process of the group has ended.
    """

    def __init__(self, fd: int, path: str, *, key: str = "oom_kill") -> None:
        self._fd = fd
        self._path = path
        self._key = key
        self._count = 0

    @classmethod
    def of_directory(cls, directory: str) -> OomWatch:
        """Watch the group in `directory`, of either version.

        Raises `OSError`: ENOENT when the directory is gone or has no memory controller.
        """
        events = directory + "/memory.events"
        if os.path.exists(events):
            return cls.of_events_file(events)
        return cls._of_legacy(directory)

    @classmethod
    def of_process(cls, pid: int) -> OomWatch | None:
        """Watch the group that process `pid` is in; None where no memory controller is enabled for it."""
        directory = cgroups.memory_directory(cgroups.of_process(pid))
        return None if directory is None else cls.of_directory(directory)

    @classmethod
    def of_events_file(cls, path: str, *, key: str = "oom_kill") -> OomWatch:
        """Watch a file of v2 with lines of `name count`: `memory.events`, or `cgroup.events` and another key."""
        fd = check(libc.inotify_init1(_IN_CLOEXEC | _IN_NONBLOCK))
        try:
            check(_inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY), path)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, path, key=key)

    @classmethod
    def _of_legacy(cls, directory: str) -> OomWatch:
        path = directory + "/memory.oom_control"
        control = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            try:
                _write(directory + "/cgroup.event_control", b"%d %d" % (fd, control))
            except BaseException:
                os.close(fd)
                raise
        finally:
            os.close(control)
        return cls(fd, path)

    def fileno(self) -> int:
        """Return the descriptor to wait on; it does not block."""
        return self._fd

    def read_count(self) -> int:
        """Return how many processes have been killed in this group so far, and make the descriptor quiet again.

        After the group's removal: the last count that was read. Never blocks.
        """
        # Drained before the count is read: what happens after that makes the descriptor readable again.
        try:
            while os.read(self._fd, _INOTIFY_BUFFER_SIZE):
                pass
        except BlockingIOError:
            pass
        try:
            self._count = parse_count(_read(self._path), self._key)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
        return self._count

    def close(self) -> None:
        """Close the descriptor; idempotent. The kernel forgets the registration with it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
