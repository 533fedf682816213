"""Forking a shim: the supervisor does it, with a socket that listens already, so that it can be connected to at
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

from actors.control import ForkShim, ShimExited, ShimStarted
from linux import pidfd, unixsocket
from shim import protocol
from wharfie import errors

if TYPE_CHECKING:
    from actors.worker import Worker

SHIM_TARGET = "shim.main:main"


class Launcher:
    """Asks the supervisor for shims."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[int]] = {}
        worker.on_control(ShimStarted, self._on_started)
        worker.on_control(ShimExited, self._on_exited)

    async def launch(self, start: protocol.ShimStart, path: str, *, timeout_s: float) -> tuple[int, socket.socket]:
        """A new shim that listens at `path`, and a connection to it. On failure nothing is left.

        Raises:
            Unavailable: it could not be forked in time.
        """
        with contextlib.suppress(FileNotFoundError):
            # Nobody's: whoever had this container's name is gone, or this create would not have come so far.
            os.unlink(path)
        listener = unixsocket.listen(path)
        number = next(self._ids)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            self._worker.control.send(
                ForkShim(id=number, target=SHIM_TARGET, args=protocol.encode(start)), [listener.fileno()]
            )
            connection = unixsocket.connect(path, timeout_s=timeout_s)
            try:
                async with asyncio.timeout(timeout_s):
                    return await future, connection
            except BaseException:
                connection.close()
                raise
        except TimeoutError:
            raise errors.Unavailable(f"no shim for '{start.id}' within {timeout_s:g} s", retryable=True) from None
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise
        finally:
            self._pending.pop(number, None)
            listener.close()

    def _on_started(self, message: Any, fds: list[int]) -> None:
        future = self._pending.get(message.id)
        if future is not None and not future.done():
            future.set_result(message.pid)
        elif fds:
            # Born for a create that has failed meanwhile, so nobody will ever talk to it.
            pidfd.send_signal(fds[0], signal.SIGKILL)
        for fd in fds:
            os.close(fd)

    def _on_exited(self, message: Any, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        future = self._pending.get(message.id)
        if future is not None and not future.done():
            # Nothing was made yet: the same request may be asked again.
            reason = message.error or "it ended"
            future.set_exception(errors.Unavailable(f"a shim could not be started: {reason}", retryable=True))
