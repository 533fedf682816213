"""The streams of a container's process as a synchronous program has them: one thread copies while the program waits."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from wharfie.fifo import Fifos

CHUNK_BYTES = 65536
DRAIN_S = 10.0
"""How long after a process's end its streams may stay open in other processes that it left behind."""

Sink = Callable[[bytes], object]


class Streams:
    """Connects a process's stdin, stdout and stderr with this program, from `with` to its end.

    Give `stdio` to `tasks.create` or `tasks.exec`; call `attached` when that has answered, `drain` when the process has
    ended. Stdin is sent from `attached` on: a FIFO that only we hold forgets what was written when we close it.

    Args:
        on_stdout: told each piece, in the copying thread.
        on_stderr: likewise.
        stdin: bytes to send, a descriptor to copy from until its end, or None for no stdin.
        on_stdin_end: called once when all of stdin was sent (to close the process's end).
    """

    def __init__(
        self,
        *,
        on_stdout: Sink,
        on_stderr: Sink,
        stdin: bytes | int | None = None,
        on_stdin_end: Callable[[], object] | None = None,
    ) -> None:
        self._fifos = Fifos(stdin=stdin is not None)
        self.stdio = self._fifos.stdio
        self._sinks = {"stdout": on_stdout, "stderr": on_stderr}
        self._stdin = stdin
        self._on_stdin_end = on_stdin_end
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._ended = False
        self._deadline_s = 0.0
        self._thread = threading.Thread(target=self._copy, name="wharfie-streams", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attached(self) -> None:
        """The shim has opened the streams: send stdin."""
        os.write(self._wake_write, b"a")

    def drain(self) -> None:
        """The process has ended: take what is left of its output, until its end or `DRAIN_S`."""
        self._ended = True
        self._deadline_s = time.monotonic() + DRAIN_S
        os.write(self._wake_write, b"x")
        self._thread.join()

    def close(self) -> None:
        """Stop copying and remove the FIFOs. Idempotent."""
        if self._thread.is_alive():
            self._ended = True
            self._deadline_s = 0.0
            with contextlib.suppress(OSError):
                os.write(self._wake_write, b"x")
            self._thread.join()
        self._fifos.close()
        for fd in (self._wake_read, self._wake_write):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._wake_read = self._wake_write = -1

    def _copy(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        names: dict[int, str] = {}
        for name in ("stdout", "stderr"):
            fd = self._fifos.end(name)
            if fd is not None:
                names[fd] = name
                poll.register(fd, select.POLLIN)
        feeding: _Feed | None = None
        while names:
            if self._ended and time.monotonic() >= self._deadline_s:
                return
            for fd, events in poll.poll(100 if self._ended else None):
                if fd in names:
                    data = _read(fd)
                    if data:
                        self._sinks[names[fd]](data)
                    elif data is not None or (events & select.POLLHUP and self._ended):
                        poll.unregister(fd)
                        del names[fd]
                elif fd == self._wake_read:
                    words = os.read(self._wake_read, 64)
                    if b"a" in words and self._stdin is not None and feeding is None:
                        feeding = _Feed(self._fifos, self._stdin, poll, self._on_stdin_end)
                    if b"x" in words:
                        self._unplug(poll, names)
                elif feeding is not None and feeding.owns(fd):
                    feeding.go(fd)

    def _unplug(self, poll: select.poll, names: dict[int, str]) -> None:
        """After the process's end: streams that nobody ever opened have no end to see; take what they have."""
        for fd, name in list(names.items()):
            while data := _read(fd):
                self._sinks[name](data)
            if data is not None:
                poll.unregister(fd)
                del names[fd]


class _Feed:
    """What goes into stdin: bytes or a descriptor's, as fast as the process reads."""

    def __init__(
        self, fifos: Fifos, source: bytes | int | None, poll: select.poll, on_end: Callable[[], object] | None
    ) -> None:
        self._fifos = fifos
        self._poll = poll
        self._on_end = on_end
        self._source = source if isinstance(source, int) else None
        self._data = b"" if source is None or isinstance(source, int) else source
        self._done = self._source is None
        self._fd = fifos.end("stdin")
        if self._source is not None:
            poll.register(self._source, select.POLLIN)
        elif self._fd is not None:
            poll.register(self._fd, select.POLLOUT)

    def owns(self, fd: int) -> bool:
        """Whether an event is for here; one of a stream that has just ended is for nobody."""
        return fd in (self._source, self._fd)

    def go(self, fd: int) -> None:
        if fd == self._source:
            data = os.read(fd, CHUNK_BYTES)
            self._poll.unregister(fd)
            self._data += data
            self._done = not data
            if self._fd is not None:
                self._poll.register(self._fd, select.POLLOUT)
            return
        if self._data:
            with contextlib.suppress(BlockingIOError):
                self._data = self._data[os.write(fd, self._data) :]
        if self._data:
            return
        self._poll.unregister(fd)
        if not self._done:
            assert self._source is not None
            self._poll.register(self._source, select.POLLIN)
            return
        self._fifos.close_end("stdin")
        if self._on_end is not None:
            self._on_end()


def _read(fd: int) -> bytes | None:
    """What is there; empty at the end; None when nothing is there yet."""
    try:
        return os.read(fd, CHUNK_BYTES)
    except BlockingIOError:
        return None
