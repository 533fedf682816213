"""Every connection of the router and what is ready on them: one epoll over listeners, links and the control channel.

A peer is more than its connection: one that comes back under its own name within `GRACE_S` goes on where it was, with
its requests and what was kept for it.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Any

from supervisor.router.flights import Peer
from supervisor.router.post import GONE, OnGone, Post
from supervisor.router.sockets import Accepted, Listener
from wharfie.link import Closed

if TYPE_CHECKING:
    from config.settings import Settings
    from supervisor.router.remote import Remote

GRACE_S = 2.0
"""How long a client whose connection ended may take to come back before its requests are dropped."""

HANDSHAKE_S = 5.0
"""How long a connection may take to say who it is."""

REMOTE_BATCH = 256


class Connections:
    """The connections, their peers, and the poll.

    Args:
        control: descriptor of the channel to the supervisor.
        on_gone: told of a client that did not come back.
    """

    def __init__(self, control: int, *, post: Post, on_gone: OnGone) -> None:
        self.peers: dict[tuple[str, bytes], Peer] = {}
        self.remote: Remote | None = None
        self._control = control
        self._post = post
        self._on_gone = on_gone
        self._epoll = select.epoll()
        self._epoll.register(control, select.EPOLLIN)
        self._listeners: dict[int, Listener] = {}
        self._links: dict[int, Accepted] = {}
        self._away: dict[Peer, float] = {}
        self._paused: set[int] = set()
        self._strangers: set[Accepted] = set()

    # -- opening and closing -----------------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Accept on a socket from now on; it is closed with the rest."""
        fd = listener.sock.fileno()
        self._listeners[fd] = listener
        self._epoll.register(fd, select.EPOLLIN)

    def open_remote(self, settings: Settings) -> None:
        """Serve clients over TCP, too."""
        from supervisor.router.remote import Remote

        self.remote = self._post.remote = Remote(settings)
        for fd in self.remote.descriptors():
            self._epoll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Write what can be written, and close everything."""
        self._post.flush()
        if self.remote is not None:
            self.remote.close()
        for listener in self._listeners.values():
            listener.close()
        for accepted in self._links.values():
            accepted.link.close()
        self._epoll.close()

    # -- the poll ----------------------------------------------------------------------------------------------------

    def poll(self, timeout_ms: int) -> tuple[bool, list[Accepted]]:
        """Wait for news. Returns whether the supervisor has said something, and the connections to `receive` from."""
        if self.remote is not None and self.remote.has_news():
            timeout_ms = 0
        told = False
        ready: list[Accepted] = []
        for fd, mask in self._epoll.poll(timeout_ms / 1000):
            accepted = self._links.get(fd)
            if accepted is not None:
                if mask & select.EPOLLOUT and accepted.link.flush():
                    self._epoll.modify(fd, select.EPOLLIN)
                if mask & ~select.EPOLLOUT:
                    ready.append(accepted)
            elif fd == self._control:
                told = True
            elif fd in self._listeners:
                self._accept(fd)
        return told, ready

    def receive(self, accepted: Accepted) -> list[list[Any]]:
        """The messages of a connection, which ends here when its other side has ended it."""
        try:
            messages = accepted.link.receive()
        except Closed:
            self._ended(accepted)
            return []
        if messages and accepted.peer is None and not self._introduce(accepted):
            return []
        return messages

    def receive_remote(self) -> list[tuple[Peer, list[Any]]]:
        """The messages of clients at a distance."""
        if self.remote is None:
            return []
        return [(self._remote_peer(route, user), frames) for route, frames, user in self.remote.receive(REMOTE_BATCH)]

    def watch_unwritten(self) -> None:
        """Write what was queued in this turn; what a socket did not take goes when it has room."""
        for peer in self._post.flush():
            assert peer.link is not None
            self._epoll.modify(peer.link.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def drain(self, peer: Peer) -> list[list[Any]]:
        """Everything that a process that has died had still sent."""
        messages: list[list[Any]] = []
        while (accepted := self._connection_of(peer)) is not None and (found := self.receive(accepted)):
            messages += found
        return messages

    def look_around(self, now_s: float) -> None:
        """Give up on who did not come back or never said who it is; accept again. To be called every second."""
        for peer, since_s in list(self._away.items()):
            if now_s - since_s > GRACE_S:
                del self._away[peer]
                self._on_gone(peer, GONE)
        for accepted in list(self._strangers):
            if accepted.link.decoder.is_ready:
                # It has said who it is, and may be silent as long as it likes.
                self._strangers.discard(accepted)
            elif now_s - accepted.since_s > HANDSHAKE_S:
                self._close(accepted)
        for fd in self._paused:
            self._epoll.register(fd, select.EPOLLIN)
        self._paused.clear()

    # -- peers -------------------------------------------------------------------------------------------------------

    def forget(self, peer: Peer) -> None:
        """The peer is no more: its connection is closed and its name free. Idempotent."""
        self._away.pop(peer, None)
        if self.peers.get((peer.side, peer.route)) is peer:
            del self.peers[peer.side, peer.route]
        if (accepted := self._connection_of(peer)) is not None:
            self._close(accepted)
        peer.link = None

    def _connection_of(self, peer: Peer) -> Accepted | None:
        return None if peer.link is None else self._links.get(peer.link.fileno())

    def _introduce(self, accepted: Accepted) -> bool:
        """Whose connection it is. False: it takes a name that is somebody else's, and is closed."""
        side = accepted.side
        route = accepted.link.decoder.identity or os.urandom(16)
        peer = self.peers.get((side, route))
        if peer is not None and (peer.uid != accepted.uid or (peer.link is not None and peer.pid != accepted.pid)):
            self._close(accepted)
            return False
        if peer is None:
            peer = Peer(route, side, uid=accepted.uid, gid=accepted.gid, pid=accepted.pid)
            self.peers[side, route] = peer
        elif (older := self._connection_of(peer)) is not None:
            older.peer = None
            self._close(older)
        self._away.pop(peer, None)
        self._strangers.discard(accepted)
        accepted.peer, peer.link = peer, accepted.link
        self._post.rest(peer)
        return True

    def _remote_peer(self, route: bytes, user: str) -> Peer:
        peer = self.peers.get(("tcp", route))
        if peer is None:
            peer = self.peers["tcp", route] = Peer(route, "tcp", user=user)
        return peer

    def _accept(self, fd: int) -> None:
        found, may_go_on = self._listeners[fd].accept()
        if not may_go_on:
            self._epoll.unregister(fd)
            self._paused.add(fd)
        for accepted in found:
            self._links[accepted.link.fileno()] = accepted
            self._strangers.add(accepted)
            written = accepted.link.flush()
            self._epoll.register(accepted.link.fileno(), select.EPOLLIN | (0 if written else select.EPOLLOUT))

    def _ended(self, accepted: Accepted) -> None:
        peer = accepted.peer
        self._close(accepted)
        if peer is None:
            return
        peer.link = None
        if peer.side == "back":
            return
        if peer.flights:
            self._away[peer] = time.monotonic()
        else:
            self._on_gone(peer, GONE)

    def _close(self, accepted: Accepted) -> None:
        fd = accepted.link.fileno()
        if self._links.pop(fd, None) is not None:
            self._epoll.unregister(fd)
        self._strangers.discard(accepted)
        accepted.link.close()
