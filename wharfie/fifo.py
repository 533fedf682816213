"""The FIFOs between a client and a container's streams: made by the client, opened by the shim, gone with the client.

The shim opens its ends for reading and writing, so that neither side's death blocks or kills the other; the reader
here sees the end of a stream when the last process that holds it is gone.
"""

from __future__ import annotations

import contextlib
import os

from wharfie.types.tasks import Stdio


class Fifos:
    """A private directory with the FIFOs of one process, and this side's ends. Close it, or use it as a context.

    Args:
        stdin: make one for stdin; the process reads its end at once when there is none.
        terminal: one stream for both outputs.
    """

    def __init__(self, *, stdin: bool = False, terminal: bool = False) -> None:
        # Not tempfile.mkdtemp: that module costs a start of the command line 2 ms, and 96 random bits need no retry.
        self.directory = os.path.join(_base(), f"wharfie-{os.urandom(12).hex()}")
        os.mkdir(self.directory, 0o700)
        self._ends: dict[str, int] = {}
        try:
            for name in ("stdin",) * stdin + ("stdout",) + ("stderr",) * (not terminal):
                path = os.path.join(self.directory, name)
                os.mkfifo(path, 0o600)
                # Writing too keeps opening from blocking; non-blocking reads see the end only when we are alone.
                flags = os.O_RDWR if name == "stdin" else os.O_RDONLY
                self._ends[name] = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise
        self.stdio = Stdio(
            stdin=self._path("stdin"),
            stdout=self._path("stdout"),
            stderr=self._path("stderr"),
            terminal=terminal,
        )

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name) if name in self._ends else ""

    def end(self, name: str) -> int | None:
        """Give this side's descriptor of a stream, non-blocking; None when there is none or it was closed."""
        return self._ends.get(name)

    def close_end(self, name: str) -> None:
        """Close this side of a stream. Idempotent."""
        fd = self._ends.pop(name, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close everything and remove the directory. Idempotent."""
        for name in list(self._ends):
            self.close_end(name)
        for name in ("stdin", "stdout", "stderr"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(self.directory)


def _base() -> str:
    """A place in memory where there is one: making a FIFO on a disk can cost more than starting the container."""
    for directory in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if directory and os.access(directory, os.W_OK | os.X_OK):
            return directory
    return os.environ.get("TMPDIR") or "/tmp"
