"""Sending without waiting: to each peer what it takes, the rest in a bounded outbox, the undeliverable among the
dead letters.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from supervisor.router.flights import Peer
from supervisor.router.sockets import Sockets, send, size_of
from wharfie import errors, protocol
from wharfie.protocol import MAGIC, Header

OUTBOX_MAX_BYTES = 64 * 1024 * 1024
"""What a peer that does not read may leave in our memory."""


class Post:
    """The way out.

    Args:
        sockets: where to.
        on_gone: told of a client that is gone, or that does not read although its outbox is full.
        dead_letters: how many are kept.
    """

    def __init__(self, sockets: Sockets, *, on_gone: Callable[[Peer], None], dead_letters: int) -> None:
        self.by_side = {"front": sockets.front, "back": sockets.back}
        self._on_gone = on_gone
        self.blocked: set[Peer] = set()
        self.dead: deque[dict[str, Any]] = deque(maxlen=dead_letters)

    def greet(self, peer: Peer, hello: list[Any]) -> None:
        """Send a hello; that a client has left meanwhile is no loss to note."""
        if not peer.outbox:
            try:
                send(self.by_side[peer.side], peer.route, hello)
            except zmq.Again:
                return
            except zmq.ZMQError:
                if peer.side != "back":
                    self._on_gone(peer)

    def send(self, peer: Peer, frames: list[Any]) -> None:
        """Send frames to a peer, in order, behind what it has not taken yet."""
        if peer.outbox:
            self._keep(peer, frames)
            return
        try:
            send(self.by_side[peer.side], peer.route, frames)
        except zmq.Again:
            self._keep(peer, frames)
        except zmq.ZMQError as error:
            self._unreachable(peer, error)

    def error(self, peer: Peer, id_: int, error: errors.WharfieError) -> None:
        """Answer a request that is no flight with an error."""
        self.send(peer, [MAGIC, protocol.encode(Header(id=id_, kind="error")), protocol.encode(error.to_wire())])

    def rest(self, peer: Peer) -> None:
        """Try again what a peer did not take."""
        socket = self.by_side[peer.side]
        while peer.outbox:
            frames = peer.outbox[0]
            try:
                send(socket, peer.route, frames)
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                self.forget(peer)
                self._unreachable(peer, error)
                return
            peer.outbox.popleft()
            peer.outbox_bytes -= size_of(frames)
        self.blocked.discard(peer)

    def forget(self, peer: Peer) -> None:
        """Drop what a peer did not take. Idempotent."""
        self.blocked.discard(peer)
        peer.outbox.clear()
        peer.outbox_bytes = 0

    def bury(self, reason: str, **what: Any) -> None:
        """Keep a note of something that reached nobody."""
        self.dead.append({"at_ns": time.time_ns(), "reason": reason, **what})

    def _keep(self, peer: Peer, frames: list[Any]) -> None:
        peer.outbox.append(frames)
        peer.outbox_bytes += size_of(frames)
        self.blocked.add(peer)
        if peer.outbox_bytes > OUTBOX_MAX_BYTES and peer.side != "back":
            self.bury("peer does not read", pid=peer.pid, messages=len(peer.outbox), requests=len(peer.flights))
            self.forget(peer)
            self._on_gone(peer)

    def _unreachable(self, peer: Peer, error: zmq.ZMQError) -> None:
        if peer.side == "back":
            # A dead worker's flights are settled by its Down; until then they stay where they are.
            return
        self.bury("peer gone", pid=peer.pid, error=zmq.strerror(error.errno or 0), requests=len(peer.flights))
        self._on_gone(peer)
