"""The router's local sockets and the connections that were accepted on them; nothing here ever blocks.

`front` (public) and `back` (in a directory of mode 0700, for the workers). The kernel tells who a peer is when its
connection is accepted (`SO_PEERCRED`).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from wharfie.link import Link, widen

if TYPE_CHECKING:
    from config.settings import Settings
    from supervisor.router.flights import Peer

log = logging.getLogger("router")

HARD_LIMIT_FACTOR = 4
"""A message above this many times the limit ends the connection; up to it the refusal is a typed error."""

BACKLOG = 512
ACCEPTS_MAX = 64
_CREDENTIALS = struct.Struct("3i")


class Accepted:
    """A connection.

    Attributes:
        peer: known from its first message on.
        since_s: when it was accepted; who has not ended the handshake long after is put out.
    """

    __slots__ = ("gid", "link", "peer", "pid", "side", "since_s", "uid")

    def __init__(self, link: Link, side: str, *, uid: int, gid: int, pid: int) -> None:
        self.link = link
        self.side = side
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.peer: Peer | None = None
        self.since_s = time.monotonic()


class Listener:
    """A listening socket; `close` removes its file, which this router made.

    Args:
        path: of the socket; a file that is there is taken over, for the lock on root makes sure that it is ours.
        side: `front` or `back`.
        max_bytes: of a message, above which a connection ends; 0 is no limit.
    """

    def __init__(self, path: str, *, side: str, mode: int, uid: int = -1, gid: int = -1, max_bytes: int = 0) -> None:
        self.side = side
        self._path = path
        self._max_bytes = max_bytes
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        old = os.umask(0o177)
        try:
            self.sock.bind(path)
        finally:
            os.umask(old)
        if uid != -1 or gid != -1:
            os.chown(path, uid, gid)
        os.chmod(path, mode)
        self.sock.listen(BACKLOG)

    def accept(self) -> tuple[list[Accepted], bool]:
        """The connections that wait, for one turn; and whether more may be accepted now (not without descriptors)."""
        found: list[Accepted] = []
        for _ in range(ACCEPTS_MAX):
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                    log.warning("no connection can be accepted at present: %s", error)
                    return found, False
                continue
            pid, uid, gid = _CREDENTIALS.unpack(
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            widen(sock)
            link = Link(sock, socket_type=b"ROUTER", max_bytes=self._max_bytes)
            found.append(Accepted(link, self.side, uid=uid, gid=gid, pid=pid))
        return found, True

    def close(self) -> None:
        """Idempotent."""
        self.sock.close()
        if self.side == "front":
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def back(path: str) -> Listener:
    """The workers' socket."""
    return Listener(path, side="back", mode=0o600)


def front(settings: Settings) -> Listener:
    """The clients' socket: opening it is the last step of a start."""
    router = settings.router
    return Listener(
        router.address,
        side="front",
        mode=router.mode,
        uid=router.uid,
        gid=router.gid,
        max_bytes=router.max_message_bytes * HARD_LIMIT_FACTOR,
    )


def size_of(frames: list[Any]) -> int:
    """Bytes of all frames together."""
    total = 0
    for frame in frames:
        total += len(frame)
    return total
