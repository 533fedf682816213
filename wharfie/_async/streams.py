"""The streams of a container's process on an asyncio loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from wharfie._sync.streams import CHUNK_BYTES, DRAIN_S, Sink
from wharfie.fifo import Fifos


class Streams:
    """Connects a process's stdin, stdout and stderr with this program, from `async with` to its end.

    Give `stdio` to `tasks.create` or `tasks.exec`; call `attached` when that has answered, await `drain` when the
    process has ended. Stdin is sent from `attached` on: a FIFO that only we hold forgets what was written when we
    close it.

    Args:
        on_stdout: told each piece, on the loop.
        on_stderr: likewise.
        stdin: bytes to send, a descriptor to copy from until its end, or None for no stdin.
        on_stdin_end: awaited once when all of stdin was sent (to close the process's end).
    """

    def __init__(
        self,
        *,
        on_stdout: Sink,
        on_stderr: Sink,
        stdin: bytes | int | None = None,
        on_stdin_end: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._fifos = Fifos(stdin=stdin is not None)
        self.stdio = self._fifos.stdio
        self._sinks = {"stdout": on_stdout, "stderr": on_stderr}
        self._stdin = stdin
        self._on_stdin_end = on_stdin_end
        self._open: set[str] = set()
        self._all_closed = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for name in ("stdout", "stderr"):
            fd = self._fifos.end(name)
            if fd is not None:
                self._open.add(name)
                loop.add_reader(fd, self._on_readable, name, fd)
        return self

    def attached(self) -> None:
        """The shim has opened the streams: send stdin."""
        if self._stdin is not None and self._feeder is None:
            self._feeder = asyncio.get_running_loop().create_task(self._feed(self._stdin))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._feeder
        for name in list(self._open):
            self._stop(name)
        self._fifos.close()

    async def drain(self) -> None:
        """The process has ended: take what is left of its output, until its end or `DRAIN_S`."""
        for name in list(self._open):
            fd = self._fifos.end(name)
            if fd is not None:
                self._on_readable(name, fd)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._all_closed.wait()

    def _on_readable(self, name: str, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self._sinks[name](data)
        else:
            self._stop(name)

    def _stop(self, name: str) -> None:
        fd = self._fifos.end(name)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
        self._open.discard(name)
        if not self._open:
            self._all_closed.set()

    async def _feed(self, source: bytes | int) -> None:
        fd = self._fifos.end("stdin")
        assert fd is not None
        data = b""
        while data := (source if isinstance(source, bytes) else await _when(source, reading=True)):
            while data:
                await _when(fd, reading=False)
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(fd, data) :]
            if isinstance(source, bytes):
                break
        self._fifos.close_end("stdin")
        if self._on_stdin_end is not None:
            await self._on_stdin_end()


async def _when(fd: int, *, reading: bool) -> bytes:
    """Wait until a descriptor can be read (and read it) or written."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add(fd, wake)
    try:
        await ready
    finally:
        remove(fd)
    return os.read(fd, CHUNK_BYTES) if reading else b""
