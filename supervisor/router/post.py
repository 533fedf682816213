"""Sending without waiting: to each peer what it takes, the rest in a bounded queue, the undeliverable among the dead
letters.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from supervisor.router.flights import Peer
from supervisor.router.sockets import size_of
from wharfie import errors, protocol
from wharfie.protocol import MAGIC, Header

if TYPE_CHECKING:
    from supervisor.router.remote import Remote

OUTBOX_MAX_BYTES = 64 * 1024 * 1024
"""What a peer that does not read may leave in our memory."""

OnGone = Callable[[Peer, str], None]
"""Told of a client that cannot be served any more, and why; notes it among the dead letters."""

GONE = "peer gone"


class Post:
    """The way out. A peer has a link; or none, because it is at a distance (`remote`) or away for a moment.

    Args:
        on_gone: told of a client that is gone, or that does not read although its queue is full.
        dead_letters: how many are kept.

    Attributes:
        unsent: peers for whom messages were queued; `flush` writes them.
        blocked: peers at a distance that did not take everything.
    """

    def __init__(self, *, on_gone: OnGone, dead_letters: int) -> None:
        self.remote: Remote | None = None
        self._on_gone = on_gone
        self.unsent: set[Peer] = set()
        self.blocked: set[Peer] = set()
        self.dead: deque[dict[str, Any]] = deque(maxlen=dead_letters)

    def send(self, peer: Peer, frames: list[Any]) -> None:
        """Send frames to a peer, in order, behind what it has not taken yet."""
        link = peer.link
        if link is not None:
            link.queue(frames)
            self.unsent.add(peer)
            if link.queued_bytes > OUTBOX_MAX_BYTES and peer.side != "back":
                link.flush()
                if link.queued_bytes > OUTBOX_MAX_BYTES:
                    self._overflow(peer)
        elif peer.side == "tcp":
            if peer.outbox or not self._sent(peer, frames):
                self._keep(peer, frames)
        elif peer.side == "front":
            self._keep(peer, frames)
        # A dead worker's flights are settled by its Down; until then they stay where they are.

    def error(self, peer: Peer, id_: int, error: errors.WharfieError) -> None:
        """Answer a request that is no flight with an error."""
        self.send(peer, [MAGIC, protocol.encode(Header(id=id_, kind="error")), protocol.encode(error.to_wire())])

    def flush(self) -> list[Peer]:
        """Write what was queued. Returns the peers whose sockets did not take everything."""
        unsent, self.unsent = self.unsent, set()
        return [peer for peer in unsent if peer.link is not None and not peer.link.flush()]

    def rest(self, peer: Peer) -> None:
        """Try again what a peer did not take: one at a distance, or one that has come back."""
        if peer.link is not None:
            for frames in peer.outbox:
                peer.link.queue(frames)
            self.unsent.add(peer)
            self.forget(peer)
            return
        while peer.outbox and peer in self.blocked:
            if not self._sent(peer, peer.outbox[0]):
                return
            if peer.outbox:
                peer.outbox_bytes -= size_of(peer.outbox.popleft())
        self.blocked.discard(peer)

    def forget(self, peer: Peer) -> None:
        """Drop what a peer did not take. Idempotent."""
        self.blocked.discard(peer)
        peer.outbox.clear()
        peer.outbox_bytes = 0

    def bury(self, reason: str, **what: Any) -> None:
        """Keep a note of something that reached nobody."""
        self.dead.append({"at_ns": time.time_ns(), "reason": reason, **what})

    def _sent(self, peer: Peer, frames: list[Any]) -> bool:
        """Whether nothing is left to be done about these frames: libzmq took them, or the peer is gone."""
        from supervisor.router.remote import Gone

        assert self.remote is not None
        try:
            return self.remote.send(peer.route, frames)
        except Gone:
            self._on_gone(peer, GONE)
            return True

    def _keep(self, peer: Peer, frames: list[Any]) -> None:
        peer.outbox.append(frames)
        peer.outbox_bytes += size_of(frames)
        if peer.side == "tcp":
            self.blocked.add(peer)
        if peer.outbox_bytes > OUTBOX_MAX_BYTES:
            self._overflow(peer)

    def _overflow(self, peer: Peer) -> None:
        self._on_gone(peer, "peer does not read")
