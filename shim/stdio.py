"""The standard streams of a container's processes.

The process gets the FIFO or the file itself: no byte passes through the shim. A FIFO for output is opened for reading
*and* writing, so that opening never waits for a reader and a reader that dies neither kills the writer by SIGPIPE nor
blocks it before the pipe is full. Of a FIFO for input the process gets a reading end, and the shim keeps a writing
one: the process sees the end of its input only when `close_io` was called and every other writer is gone.
"""

from __future__ import annotations

import os
import stat
from os import close as close_fd
from os import open as open_fd

from shim.protocol import Stdio

_NULL_FLAGS = os.O_RDWR | os.O_CLOEXEC

FILE_SCHEME = "file://"
_FIFO_SCHEME = "fifo://"


class StdioError(Exception):
    """A stream cannot be opened; `code` is one of `wharfie.errors`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Streams:
    """The descriptors of one process's streams: for the runtime to inherit, and the writing end of its stdin.

    `release` is called when the runtime has inherited them (or failed to), `close_stdin` for `close_io` and at the end.
    """

    __slots__ = ("fds", "stdin_writer")

    def __init__(self, stdio: Stdio) -> None:
        self.fds: list[int] = []
        self.stdin_writer = -1
        try:
            self._open(stdio)
        except BaseException:
            self.close()
            raise

    def _open(self, stdio: Stdio) -> None:
        if stdio.terminal:
            raise StdioError("unimplemented", "a terminal is not supported, leave out 'terminal'")
        self.fds.append(self._input(stdio.stdin))
        self.fds.append(_output(stdio.stdout))
        if stdio.stderr and stdio.stderr == stdio.stdout:
            # One open file, so that lines of both keep their order even where O_APPEND does not count.
            self.fds.append(os.dup(self.fds[1]))
        else:
            self.fds.append(_output(stdio.stderr))

    def _input(self, path: str) -> int:
        if not path:
            return open_fd("/dev/null", _NULL_FLAGS)
        self.stdin_writer = _open_fifo(path, os.O_RDWR)
        # Does not wait, there is a writer: the one above.
        return _open_fifo(path, os.O_RDONLY)

    def release(self) -> None:
        """Close what the process inherited; idempotent."""
        for fd in self.fds:
            close_fd(fd)
        self.fds.clear()

    def close_stdin(self) -> None:
        """Let the process see the end of its input, once every other writer has closed it; idempotent."""
        if self.stdin_writer >= 0:
            close_fd(self.stdin_writer)
            self.stdin_writer = -1

    def close(self) -> None:
        """Close everything; idempotent."""
        self.release()
        self.close_stdin()


def _output(path: str) -> int:
    if not path:
        return open_fd("/dev/null", _NULL_FLAGS)
    if path.startswith(FILE_SCHEME):
        name = path[len(FILE_SCHEME) :]
        if not name.startswith("/"):
            raise StdioError("invalid_argument", f"log '{path}' has no absolute path, write file:///path")
        try:
            fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise StdioError("failed_precondition", f"log '{name}' cannot be opened: {error.strerror}") from error
        os.set_blocking(fd, True)
        return fd
    return _open_fifo(path, os.O_RDWR)


def _open_fifo(path: str, mode: int) -> int:
    name = path.removeprefix(_FIFO_SCHEME)
    if "://" in name:
        raise StdioError("unimplemented", f"stream '{path}' has an unknown scheme, use a FIFO or file:///path")
    try:
        # O_NONBLOCK: if it is not a FIFO after all, opening it must not wait for a device or a lease.
        fd = os.open(name, mode | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise StdioError("not_found", f"stream '{path}' does not exist, make the FIFO first") from error
    except OSError as error:
        raise StdioError("failed_precondition", f"stream '{path}' cannot be opened: {error.strerror}") from error
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise StdioError("invalid_argument", f"stream '{path}' is not a FIFO, use file:// for a file")
    os.set_blocking(fd, True)
    return fd
