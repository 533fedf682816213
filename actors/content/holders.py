"""Which writer has a ref to itself. Belongs to the loop.

A writer that gives its name with its writes keeps all others away from the ref between them, as one that has a file
open. It lets go by committing, aborting or saying that it is done; when its process is gone; or when it has been silent
for a while, which is all that can be known of one on another machine. After a restart of this worker nobody holds
anything until they write again.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from actors.content.ingests import Name
from linux import procfs
from wharfie.errors import Unavailable

SILENCE_S = 10.0
"""A writer that has sent nothing for so long no longer keeps others away."""

ALIVE_SILENCE_S = 60.0
"""The same of one whose process is known to be alive: it may have to wait for its bytes."""

_MANY = 1024
"""Refs that are held before those whose writers are gone are looked for."""


class _Holder:
    __slots__ = ("last_s", "pid", "since_s", "writer")

    def __init__(self, writer: str, pid: int, now_s: float) -> None:
        self.writer = writer
        self.pid = pid
        self.since_s = now_s
        self.last_s = now_s


class Holders:
    """The refs that somebody holds.

    Args:
        clock: monotonic seconds.
        is_alive: whether there is a process of this id.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, is_alive: Callable[[int], bool] = procfs.is_alive
    ) -> None:
        self._clock = clock
        self._is_alive = is_alive
        self._holders: dict[Name, _Holder] = {}

    def enter(self, name: Name, writer: str, *, pid: int) -> None:
        """Let a writer work on a ref; with a name it holds the ref from now on.

        Args:
            name: of the ref.
            writer: its own name; empty: it does not hold.
            pid: of its process; 0 when that is not known.

        Raises:
            Unavailable: another one holds it.
        """
        now_s = self._clock()
        holder = self._holders.get(name)
        if holder is not None and holder.writer != writer:
            if not self._is_gone(holder, now_s):
                raise Unavailable(
                    f"ref '{name[1]}' has been held by another writer for {now_s - holder.since_s:.1f} s;"
                    " try again or take another ref",
                    details={"reason": "locked"},
                    retryable=True,
                )
            del self._holders[name]
            holder = None
        if not writer:
            return
        if holder is None:
            if len(self._holders) >= _MANY:
                self._forget_gone(now_s)
            self._holders[name] = _Holder(writer, pid, now_s)
        else:
            holder.pid, holder.last_s = pid, now_s

    def leave(self, name: Name) -> None:
        """Nobody holds the ref any more. Idempotent."""
        self._holders.pop(name, None)

    def _is_gone(self, holder: _Holder, now_s: float) -> bool:
        silent_s = now_s - holder.last_s
        if holder.pid <= 0:
            return silent_s > SILENCE_S
        return silent_s > ALIVE_SILENCE_S or not self._is_alive(holder.pid)

    def _forget_gone(self, now_s: float) -> None:
        self._holders = {name: held for name, held in self._holders.items() if not self._is_gone(held, now_s)}
