"""The router's loop: one poller over its sockets and its control channel. It must never be killable by a message.

Frames in, frames out: the decisions are those of `door` and `flights`. Nothing here waits: a peer that does not read
gets a bounded outbox, and when that is full its requests are dropped and it is forgotten.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from actors.control import (
    Control,
    ControlClosed,
    Down,
    InFlight,
    Reloaded,
    Stop,
    SupervisorReply,
    SupervisorRequest,
)
from supervisor.router import answers, door, sockets
from supervisor.router.audit import Audit
from supervisor.router.connections import Connections
from supervisor.router.flights import Flight, Flights, Peer
from supervisor.router.post import GONE, Post
from supervisor.router.sockets import size_of
from wharfie import errors, protocol
from wharfie.methods import WORKERS, Mode
from wharfie.protocol import MAGIC, Header, Routed

if TYPE_CHECKING:
    from config.settings import Settings
    from supervisor.router.sockets import Accepted

log = logging.getLogger("router")

RETRY_MS = 2
LOOK_S = 1.0
"""Between two looks at who has gone."""
GREET_S = 5.0
"""Between two greetings of a client at a distance for whom something is in flight: sending tells if it is there."""
FORGET_S = 60.0


class Router:
    """The process that every message of the wire passes."""

    def __init__(self, control: Control, settings: Settings) -> None:
        from config.paths import Paths

        paths = Paths.of(settings)
        self._control = control
        self._settings = settings
        self._limits = door.limits_of(settings)
        self._backend = paths.backend_socket
        self._audit = Audit(f"{paths.root}/audit.log")
        # Nanoseconds pass faster than requests come: the numbers of two routers never meet.
        self._flights = Flights(WORKERS, first=time.monotonic_ns())
        self._epoch = f"{os.getpid():x}-{time.time_ns():x}"
        self._hello = [MAGIC, protocol.encode(Header(kind="hello", epoch=self._epoch)), b"\x80"]
        self._counts = {"requests": 0, "replies": 0, "items": 0, "refused": 0, "late": 0, "retried": 0, "expired": 0}
        self._heartbeat_s = settings.supervisor.heartbeat_interval_s
        self._started_ns = time.monotonic_ns()
        self._stopping = False
        self._post = Post(on_gone=self._gone, dead_letters=settings.router.dead_letters)
        self._connections = Connections(control.fileno(), post=self._post, on_gone=self._gone)
        self._peers = self._connections.peers

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the supervisor says stop or is gone."""
        connections = self._connections
        connections.listen(sockets.back(self._backend))
        if self._settings.router.tcp_address:
            connections.open_remote(self._settings)
        connections.listen(sockets.front(self._settings))
        self._control.ready()
        next_beat_s = next_look_s = next_greeting_s = 0.0
        try:
            while not self._stopping:
                now_s = time.monotonic()
                if now_s >= next_beat_s:
                    self._control.beat(
                        queue=sum(len(owner.waiting) for owner in self._flights.owners.values()),
                        in_flight=len(self._flights.by_number),
                        handled=self._counts["requests"],
                    )
                    next_beat_s = now_s + self._heartbeat_s
                if now_s >= next_look_s:
                    connections.look_around(now_s)
                    next_look_s = now_s + LOOK_S
                if connections.remote is not None and now_s >= next_greeting_s:
                    self._greet_remote(now_s)
                    next_greeting_s = now_s + GREET_S
                self._turn(*connections.poll(self._timeout_ms(min(next_beat_s, next_look_s) - now_s)))
        except ControlClosed:
            log.info("the supervisor is gone")
        finally:
            self._audit.close()
            connections.close()

    def _timeout_ms(self, until_s: float) -> int:
        wait_ms = max(0, int(until_s * 1000) + 1)
        if self._post.blocked:
            return min(wait_ms, RETRY_MS)
        nearest = self._flights.nearest_deadline_ns
        if nearest:
            wait_ms = min(wait_ms, max(0, (nearest - time.monotonic_ns()) // 1_000_000 + 1))
        return wait_ms

    def _turn(self, told: bool, ready: list[Accepted]) -> None:
        # Deaths first: what a dead worker had said before is read by `_down` itself.
        if told:
            self._on_control()
        connections = self._connections
        for accepted in ready:
            for frames in connections.receive(accepted):
                if (peer := accepted.peer) is not None:
                    self._take(peer, frames)
        for peer, frames in connections.receive_remote():
            self._take(peer, frames)
        for flight in self._flights.expired(time.monotonic_ns()):
            self._expire(flight)
        for peer in list(self._post.blocked):
            self._post.rest(peer)
        connections.watch_unwritten()
        self._audit.flush()

    def _take(self, peer: Peer, frames: list[Any]) -> None:
        try:
            self._on_message(peer, frames)
        except ControlClosed:
            raise
        except Exception:
            # The last net: whatever a message did, the router goes on without it.
            log.exception("a message could not be routed")

    # -- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, peer: Peer, frames: list[Any]) -> None:
        peer.seen_s = time.monotonic()
        if len(frames) < 2:
            # The empty probe of a (re)connected DEALER: it learns who we are, and a worker is up.
            if peer.side == "back":
                self._worker_up(peer.route)
            self._post.send(peer, self._hello)
            return
        if peer.side == "back":
            header = protocol.decode_header(frames[1])
            if header.kind not in ("request", "credit", "cancel"):
                self._on_answer(header, frames)
                return
        try:
            size_bytes = size_of(frames)
            raw = bytes(frames[1])
            header = door.read_header(frames[0], raw, frames=len(frames), size_bytes=size_bytes, limits=self._limits)
            if header.kind == "request":
                self._on_request(peer, header, frames[2:], size_bytes)
            elif header.kind == "credit":
                self._on_credit(peer, header)
            else:
                self._on_cancel(peer, header)
        except door.Refused as refused:
            self._counts["refused"] += 1
            self._post.error(peer, refused.id, refused.error)

    def _on_request(self, peer: Peer, header: Header, frames: list[Any], size_bytes: int) -> None:
        self._counts["requests"] += 1
        rule = door.admit(header, internal=peer.side == "back")
        if header.id in peer.flights:
            # The client sent it again, not knowing whether we had it: we have.
            return
        refusal = self._flights.refusal(peer, rule, size_bytes, limits=self._limits)
        if refusal is not None:
            self._counts["refused"] += 1
            self._post.error(peer, header.id, refusal)
            return
        if rule.owner == "router":
            self._answer_self(peer, header)
            return
        flight = self._flights.open(peer, header, rule, frames, size_bytes=size_bytes, now_ns=time.monotonic_ns())
        if rule.owner == "supervisor":
            self._control.send(
                SupervisorRequest(id=flight.number, method=header.method, body=bytes(frames[0]), key=header.key)
            )
            return
        self._bring(flight)

    def _bring(self, flight: Flight) -> None:
        """To its worker, now or in its turn when that is back."""
        owner = self._flights.owners[flight.owner]
        if owner.route is None or owner.waiting:
            owner.waiting.append(flight)
        else:
            self._dispatch(flight)

    def _dispatch(self, flight: Flight) -> None:
        """Send a flight to the incarnation that is connected."""
        owner = self._flights.owners[flight.owner]
        assert owner.route is not None
        flight.generation = owner.generation
        owner.flights[flight.number] = flight
        self._post.send(self._peers["back", owner.route], [MAGIC, protocol.encode(flight.routed()), *flight.frames])

    def _on_credit(self, peer: Peer, header: Header) -> None:
        flight = peer.flights.get(header.id)
        if flight is None or header.credits <= 0:
            return
        flight.credits = min(flight.credits + header.credits, door.CREDITS_MAX)
        owner = self._flights.owners.get(flight.owner)
        if owner is not None and owner.route is not None and flight.number in owner.flights:
            forward = Routed(id=flight.number, kind="credit", credits=min(header.credits, door.CREDITS_MAX))
            self._post.send(self._peers["back", owner.route], [MAGIC, protocol.encode(forward)])

    def _on_cancel(self, peer: Peer, header: Header) -> None:
        flight = peer.flights.get(header.id)
        if flight is None:
            return
        self._abandon(flight)
        error = errors.Cancelled(
            f"'{flight.header.method}' was cancelled", maybe_done=flight.rule.mode is not Mode.READ
        )
        self._finish(flight, [b"", protocol.encode(error.to_wire())], "error", "cancelled")

    def _abandon(self, flight: Flight) -> None:
        """Tell the worker that nobody waits any more."""
        owner = self._flights.owners.get(flight.owner)
        if owner is not None and owner.route is not None and flight.number in owner.flights:
            self._post.send(
                self._peers["back", owner.route], [MAGIC, protocol.encode(Routed(id=flight.number, kind="cancel"))]
            )

    def _on_answer(self, header: Header, frames: list[Any]) -> None:
        flight = self._flights.by_number.get(header.id)
        if flight is None:
            self._counts["late"] += 1
            self._post.bury("late answer", kind=header.kind, number=header.id)
            return
        if header.kind == "item":
            self._counts["items"] += 1
            flight.items += 1
            flight.credits -= 1
            self._post.send(
                flight.peer, [MAGIC, protocol.encode(Header(id=flight.header.id, kind="item")), *frames[2:]]
            )
            return
        if header.kind == "pass":
            if self._flights.pass_on(flight, header.method, frames[2:]):
                self._bring(flight)
            else:
                self._post.bury("pass to nobody", method=header.method, worker=flight.owner)
            return
        outcome = "ok"
        if header.kind == "error":
            outcome = answers.code_of(frames[2])
        self._finish(flight, frames[1:], header.kind, outcome)

    def _finish(self, flight: Flight, frames: list[Any], kind: str, outcome: str) -> None:
        """Answer a flight for good; `frames[0]` is replaced by the client's header."""
        self._flights.close(flight)
        self._counts["replies"] += 1
        if flight.rule.mode is Mode.WRITE or flight.owner == "transfer":
            self._audit.record(flight, outcome, now_ns=time.monotonic_ns())
        self._post.send(flight.peer, [MAGIC, protocol.encode(Header(id=flight.header.id, kind=kind)), *frames[1:]])

    def _expire(self, flight: Flight) -> None:
        self._counts["expired"] += 1
        self._abandon(flight)
        error = errors.DeadlineExceeded(
            f"the time for '{flight.header.method}' is up ({flight.header.deadline_ms} ms)",
            maybe_done=flight.rule.mode is not Mode.READ and flight.attempt > 0,
        )
        self._post.bury("deadline", method=flight.header.method, worker=flight.owner)
        self._finish(flight, [b"", protocol.encode(error.to_wire())], "error", str(error.code))

    def _answer_self(self, peer: Peer, header: Header) -> None:
        body = answers.VERSION
        if header.method == "router.stats":
            body = answers.stats(self._flights, self._peers.values(), self._counts, started_ns=self._started_ns)
        elif header.method == "router.dead_letters":
            body = answers.dead_letters(self._post.dead)
        self._counts["replies"] += 1
        self._post.send(peer, [MAGIC, protocol.encode(Header(id=header.id, kind="reply")), body])

    # -- workers -----------------------------------------------------------------------------------------------------

    def _worker_up(self, route: bytes) -> None:
        name, _, number = route.decode("utf-8", "replace").partition("#")
        owner = self._flights.owners.get(name)
        if owner is None or not number.isdigit():
            return
        generation = int(number)
        if generation < owner.generation or (generation == owner.generation and owner.route is not None):
            return
        if owner.flights:
            self._settle(name, generation - 1, blame=False)
        owner.generation = generation
        owner.route = route
        waiting, owner.waiting = owner.waiting, deque()
        for flight in waiting:
            self._dispatch(flight)

    def _settle(self, name: str, generation: int, *, blame: bool) -> None:
        fate = self._flights.down(name, generation, blame=blame)
        self._counts["retried"] += len(fate.again)
        for flight, error in fate.answers:
            if isinstance(error, errors.Poisoned):
                self._post.bury("poisoned", method=flight.header.method, worker=name, key=flight.header.key)
            self._finish(flight, [b"", protocol.encode(error.to_wire())], "error", str(error.code))

    def _down(self, message: Down) -> None:
        # What the dead worker had already answered may still be on its way in: take it before deciding.
        peer = self._peers.get(("back", f"{message.name}#{message.generation}".encode()))
        if peer is not None:
            for frames in self._connections.drain(peer):
                self._take(peer, frames)
        owner = self._flights.owners.get(message.name)
        if owner is None:
            return
        methods = sorted({f.header.method for f in owner.flights.values() if f.generation <= message.generation})
        self._control.send(InFlight(name=message.name, generation=message.generation, methods=methods))
        self._settle(message.name, message.generation, blame=message.blame)
        if peer is not None:
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        """A peer is gone: nobody waits for its answers."""
        self._connections.forget(peer)
        self._post.forget(peer)
        for flight in list(peer.flights.values()):
            self._abandon(flight)
            self._flights.close(flight)

    def _gone(self, peer: Peer, why: str) -> None:
        """A client cannot be served any more. That one has left who waited for nothing is no loss to note."""
        if peer.flights or why != GONE:
            self._post.bury(why, pid=peer.pid, requests=len(peer.flights))
        self._drop(peer)

    def _on_control(self) -> None:
        for message, fds in self._control.receive():
            for fd in fds:
                os.close(fd)
            if isinstance(message, Down):
                self._down(message)
            elif isinstance(message, SupervisorReply):
                self._on_supervisor(message)
            elif isinstance(message, Stop):
                self._stopping = True
            elif isinstance(message, Reloaded):
                log.debug("configuration read again; the router's limits change with its restart")

    def _on_supervisor(self, message: SupervisorReply) -> None:
        flight = self._flights.by_number.get(message.id)
        if flight is None:
            return
        if message.error is not None:
            code = str(message.error.get("code", "internal"))
            self._finish(flight, [b"", protocol.encode(message.error)], "error", code)
        else:
            self._finish(flight, [b"", message.body], "reply", "ok")

    def _greet_remote(self, now_s: float) -> None:
        """Notice clients at a distance that are gone while something is in flight; forget those long silent."""
        for peer in list(self._peers.values()):
            if peer.side == "tcp" and (peer.flights or now_s - peer.seen_s > FORGET_S) and not peer.outbox:
                self._post.send(peer, self._hello)
                if not peer.flights:
                    peer.seen_s = now_s
