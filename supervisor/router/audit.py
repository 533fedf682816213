"""The audit log: one line for every call that changes something, with the uid that the kernel vouched for.

Lines are collected and written once for each turn of the router's loop, appended in one write; the file turns over to
`audit.log.1` at its size limit. A disk that is full loses lines, counted and told, never requests.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.router.flights import Flight

log = logging.getLogger("audit")

MAX_BYTES = 16 * 1024 * 1024


class Audit:
    """The open audit log of this router.

    Args:
        path: the file; made with mode 0600.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lines: list[str] = []
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self.lost = 0

    def record(self, flight: Flight, outcome: str, *, now_ns: int) -> None:
        """Note a call that is over; `outcome` is `ok` or an error's code."""
        peer = flight.peer
        header = flight.header
        who = f"uid={peer.uid} gid={peer.gid} pid={peer.pid}" if not peer.user else f"key={peer.user}"
        self._lines.append(
            f"{time.time_ns()} {who} method={header.method} namespace={header.namespace or '-'}"
            f" key={header.key or '-'} outcome={outcome} us={(now_ns - flight.started_ns) // 1000}"
            f"{' trace=' + header.trace if header.trace else ''}\n"
        )

    def flush(self) -> None:
        """Write what was recorded; never raises."""
        if not self._lines:
            return
        data = "".join(self._lines).encode("utf-8", "replace")
        count = len(self._lines)
        self._lines.clear()
        try:
            self._size += os.write(self._fd, data)
            if self._size > MAX_BYTES:
                self._turn_over()
        except OSError as error:
            self.lost += count
            log.warning("audit lines lost: %d so far (%s)", self.lost, error)

    def _turn_over(self) -> None:
        os.rename(self._path, self._path + ".1")
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0

    def close(self) -> None:
        """Write the rest and close."""
        self.flush()
        os.close(self._fd)
