"""Watching a control group for out-of-memory kills, on cgroup v1 and v2.

The kernel tells by different means: v1 writes to an eventfd that was registered with `cgroup.event_control`,
v2 changes `memory.events`, which inotify reports. Here both are one descriptor to wait on and one count to
read.
"""

from __future__ import annotations

import ctypes
import errno
import os
from os import close as close_fd
from os import eventfd
from os import open as open_fd
from os import read as read_fd
from os import write as write_fd
from types import TracebackType
from typing import Self

from linux import cgroups
from linux.syscall import check, libc

_IN_MODIFY = 0x2
_EVENT_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
"""Of inotify and of eventfds alike."""
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_CLOEXEC
_READ_SIZE = 480
"""More than these files hold, and than inotify needs to report one change."""

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


def open_watch(directory: str) -> tuple[int, str]:
    """Return a descriptor to wait on and the file with the count, of the group in `directory` of either version.

    The caller closes the descriptor. Raises `OSError`: ENOENT when the group is gone or has no memory controller.
    """
    path = f"{directory}/memory.oom_control"
    try:
        control = open_fd(path, _READ_FLAGS)
    except FileNotFoundError:
        path = f"{directory}/memory.events"
        return _watch_file(path), path
    try:
        fd = eventfd(0, _EVENT_FLAGS)
        try:
            _write(f"{directory}/cgroup.event_control", b"%d %d" % (fd, control))
        except BaseException:
            close_fd(fd)
            raise
    finally:
        close_fd(control)
    return fd, path


def read_kills(fd: int, path: str, key: str = "oom_kill") -> int | None:
    """Return the count of a watch and make its descriptor quiet again; None when the group is gone. Never blocks."""
    # Drained before the count is read: what happens after that makes the descriptor readable again.
    try:
        while read_fd(fd, _READ_SIZE):
            pass
    except BlockingIOError:
        pass
    try:
        return parse_count(_read(path), key)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        return None


def _watch_file(path: str) -> int:
    fd = check(libc.inotify_init1(_EVENT_FLAGS))
    try:
        check(_inotify_add_watch(fd, os.fsencode(path), _IN_MODIFY), path)
    except BaseException:
        close_fd(fd)
        raise
    return fd


# Not `open`: every shim does this, and the machinery of file objects costs it memory that it would otherwise share. The
# same goes for the small buffers and for the functions imported by name.
def _read(path: str) -> str:
    fd = open_fd(path, _READ_FLAGS)
    try:
        return read_fd(fd, _READ_SIZE).decode()
    finally:
        close_fd(fd)


def _write(path: str, data: bytes) -> None:
    fd = open_fd(path, _WRITE_FLAGS)
    try:
        write_fd(fd, data)
    finally:
        close_fd(fd)


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
        return cls(*open_watch(directory))

    @classmethod
    def of_process(cls, pid: int) -> OomWatch | None:
        """Watch the group that process `pid` is in; None where no memory controller is enabled for it."""
        directory = cgroups.memory_directory(cgroups.of_process(pid))
        return None if directory is None else cls.of_directory(directory)

    @classmethod
    def of_events_file(cls, path: str, *, key: str = "oom_kill") -> OomWatch:
        """Watch a file of v2 with lines of `name count`: `memory.events`, or `cgroup.events` and another key."""
        return cls(_watch_file(path), path, key=key)

    def fileno(self) -> int:
        """Return the descriptor to wait on; it does not block."""
        return self._fd

    def read_count(self) -> int:
        """Return how many processes have been killed in this group so far, and make the descriptor quiet again.

        After the group's removal: the last count that was read. Never blocks.
        """
        count = read_kills(self._fd, self._path, self._key)
        if count is not None:
            self._count = count
        return self._count

    def close(self) -> None:
        """Close the descriptor; idempotent. The kernel forgets the registration with it."""
        if self._fd >= 0:
            close_fd(self._fd)
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
