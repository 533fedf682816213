"""A piece of work done in a fork that ends with it: what may hang, or would dirty memory that is otherwise shared.

Mounting is such a piece: a dead server behind a mount stops only the fork, and its code and data never become this
process's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from os import close as close_fd
from os import read as read_fd
from typing import TypeVar

from shim.loop import Loop
from shim.rawfork import fork

T = TypeVar("T")

_PIPE_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
MAX_ERROR_BYTES = 400


class Hand:
    """One piece of work under way."""

    __slots__ = ("_fd", "_then")

    def __init__(self, loop: Loop, work: Callable[[T], object], argument: T, then: Callable[[str], None]) -> None:
        """Do `work(argument)` in a fork; then call `then` with an empty text, or with what `work` raised.

        Raises:
            OSError: it could not be forked.

        """
        self._then = then
        self._fd, write_end = os.pipe2(_PIPE_FLAGS)
        try:
            pid = fork()
        except OSError:
            close_fd(self._fd)
            close_fd(write_end)
            raise
        if pid == 0:
            _work(work, argument, write_end)
        close_fd(write_end)
        loop.on_exit(pid, self._ended)

    def _ended(self, _pid: int, status: int) -> None:
        try:
            text = read_fd(self._fd, MAX_ERROR_BYTES).decode(errors="replace")
        except BlockingIOError:
            text = ""
        close_fd(self._fd)
        if status != 0 and not text:
            text = f"ended with status {status}"
        self._then(text)


def _work(work: Callable[[T], object], argument: T, write_end: int) -> None:
    code = 1
    try:
        work(argument)
        code = 0
    except BaseException as error:  # whatever it is, it is told and ends here
        os.write(write_end, f"{error}".encode(errors="replace")[:MAX_ERROR_BYTES])
    finally:
        os._exit(code)
