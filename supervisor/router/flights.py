"""What is under way: requests, who asked, who works on them, and what a death means for each. Pure: no socket, no
clock.

A flight is `waiting` (its worker is away), or sent to one incarnation of its worker. When that incarnation dies,
`Flights.down` decides by the retry rules (docs/protocol.md): again, answered, or quarantined.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from wharfie.errors import Poisoned, ResourceExhausted, Unavailable, WharfieError
from wharfie.link import Link
from wharfie.methods import METHODS, Method, Mode
from wharfie.protocol import Header, Routed

CRASHES_MAX = 2
"""A request in flight in this many crashes is quarantined."""

PASSES_MAX = 3
"""How often workers may pass one request on."""


class Peer:
    """Who asks: a client, or a worker in the role of one.

    Attributes:
        route: its routing id on the socket `side` (`front`, `tcp` or `back`).
        flights: its requests by their own ids.
        held_bytes: sizes of those requests together.
        seen_s: when it last sent something.
        link: its connection; None while it is away, and of one at a distance.
        outbox: what is kept for it then.
    """

    __slots__ = (
        "flights",
        "gid",
        "held_bytes",
        "link",
        "outbox",
        "outbox_bytes",
        "pid",
        "route",
        "seen_s",
        "side",
        "uid",
        "user",
    )

    def __init__(self, route: bytes, side: str, *, uid: int = -1, gid: int = -1, pid: int = 0, user: str = "") -> None:
        self.route = route
        self.side = side
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.user = user
        self.flights: dict[int, Flight] = {}
        self.held_bytes = 0
        self.seen_s = 0.0
        self.link: Link | None = None
        self.outbox: deque[list[Any]] = deque()
        self.outbox_bytes = 0


class Flight:
    """One request under way.

    Attributes:
        method, frames, rule, owner: what its worker is asked; the client's own method is the header's.
        passes: how often a worker has passed it on.
    """

    __slots__ = (
        "attempt", "crashes", "credits", "deadline_ns", "frames", "generation", "header", "items", "method", "number",
        "owner", "passes", "peer", "rule", "size_bytes", "started_ns",
    )  # fmt: skip

    def __init__(
        self, number: int, peer: Peer, header: Header, rule: Method, frames: list[Any], size_bytes: int
    ) -> None:
        self.number = number
        self.peer = peer
        self.header = header
        self.rule = rule
        self.frames = frames
        self.size_bytes = size_bytes
        self.owner = rule.owner
        self.method = header.method
        self.passes = 0
        self.attempt = 1
        self.crashes = 0
        self.credits = header.credits
        self.items = 0
        self.generation = 0
        self.deadline_ns = 0
        self.started_ns = 0

    def routed(self) -> Routed:
        """The header with which its worker gets it."""
        header = self.header
        peer = self.peer
        return Routed(
            id=self.number,
            method=self.method,
            namespace=header.namespace,
            deadline_ns=self.deadline_ns,
            key=header.key,
            credits=self.credits,
            trace=header.trace,
            lease=header.lease,
            uid=peer.uid,
            gid=peer.gid,
            pid=peer.pid,
            attempt=self.attempt,
            internal=peer.side == "back",
        )


class Owner:
    """A worker by name: its incarnation that is connected, and the flights that are its own."""

    __slots__ = ("flights", "generation", "route", "waiting")

    def __init__(self) -> None:
        self.route: bytes | None = None
        self.generation = 0
        self.waiting: deque[Flight] = deque()
        self.flights: dict[int, Flight] = {}

    @property
    def load(self) -> int:
        """Everything that it still has to answer."""
        return len(self.waiting) + len(self.flights)


class Fate:
    """What to do after a death: `again` in order, and `answers` with an error each."""

    __slots__ = ("again", "answers")

    def __init__(self) -> None:
        self.again: list[Flight] = []
        self.answers: list[tuple[Flight, WharfieError]] = []


class Flights:
    """The table of everything in flight.

    Invariants: a flight is in `by_number`, in its peer's `flights` and in its owner's `flights` or `waiting`, or in
    none of them; a peer's id is in flight at most once.

    Args:
        owners: the workers.
        first: numbers rise from here. No two routers may give one number: a worker's answer to the flight of a router
            that died comes to the next one, which has to know that it is not its own.
    """

    def __init__(self, owners: Iterable[str], *, first: int = 0) -> None:
        self.by_number: dict[int, Flight] = {}
        self.owners = {name: Owner() for name in owners}
        self._next = first
        self.nearest_deadline_ns = 0

    def open(
        self, peer: Peer, header: Header, rule: Method, frames: list[Any], *, size_bytes: int, now_ns: int
    ) -> Flight:
        """A new flight, counted against its peer; not yet waiting nor sent."""
        self._next += 1
        flight = Flight(self._next, peer, header, rule, frames, size_bytes)
        flight.started_ns = now_ns
        if header.deadline_ms:
            flight.deadline_ns = now_ns + header.deadline_ms * 1_000_000
            if not self.nearest_deadline_ns or flight.deadline_ns < self.nearest_deadline_ns:
                self.nearest_deadline_ns = flight.deadline_ns
        self.by_number[flight.number] = flight
        peer.flights[header.id] = flight
        peer.held_bytes += size_bytes
        return flight

    def pass_on(self, flight: Flight, method: str, frames: list[Any]) -> bool:
        """Another worker has it from now on; not yet waiting nor sent there.

        Returns whether it may: an internal method of a worker that it is not with already, and not for ever in a
        circle. What may not stays with whom it is, and its deadline is its end. (A second pass of the same request
        comes from an incarnation that is dead by now.)
        """
        rule = METHODS.get(method)
        if rule is None or not rule.internal or rule.owner == flight.owner or flight.passes >= PASSES_MAX:
            return False
        self.owners[flight.owner].flights.pop(flight.number, None)
        flight.method, flight.rule, flight.owner, flight.frames = method, rule, rule.owner, frames
        flight.attempt = 1
        flight.passes += 1
        return True

    def close(self, flight: Flight) -> None:
        """Forget a flight; idempotent."""
        if self.by_number.pop(flight.number, None) is None:
            return
        if flight.peer.flights.get(flight.header.id) is flight:
            del flight.peer.flights[flight.header.id]
        flight.peer.held_bytes -= flight.size_bytes
        owner = self.owners.get(flight.owner)
        if owner is not None and owner.flights.pop(flight.number, None) is None:
            try:
                owner.waiting.remove(flight)
            except ValueError:
                return

    def refusal(self, peer: Peer, rule: Method, size_bytes: int, *, limits: Any) -> WharfieError | None:
        """Why one more request of this peer cannot be taken, or None."""
        if len(peer.flights) >= limits.per_client:
            return ResourceExhausted(
                f"{len(peer.flights)} requests of this client are outstanding, the limit; wait for answers first",
                details={"limit": "max_outstanding_per_client", "max": limits.per_client},
                retryable=True,
            )
        if peer.held_bytes + size_bytes > limits.client_bytes:
            return ResourceExhausted(
                f"{peer.held_bytes} bytes of this client are outstanding, the limit is {limits.client_bytes}",
                details={"limit": "max_bytes_per_client", "max": limits.client_bytes},
                retryable=True,
            )
        owner = self.owners.get(rule.owner)
        if owner is not None and owner.load >= limits.per_worker:
            return ResourceExhausted(
                f"worker '{rule.owner}' has {owner.load} requests to answer, the limit; try again later",
                details={"limit": "max_outstanding_per_worker", "max": limits.per_worker},
                retryable=True,
            )
        return None

    def down(self, name: str, generation: int, *, blame: bool) -> Fate:
        """An incarnation died (or its newer one showed up): what becomes of what it had.

        Args:
            name: the worker.
            generation: its incarnation that is gone; flights of others are left alone.
            blame: a request may have caused it (see `actors.control.Down`).
        """
        owner = self.owners[name]
        fate = Fate()
        for flight in list(owner.flights.values()):
            if flight.generation > generation:
                continue
            del owner.flights[flight.number]
            verdict = self._verdict(flight, blame=blame)
            if verdict is None:
                flight.attempt += 1
                fate.again.append(flight)
            else:
                fate.answers.append((flight, verdict))
        # What was in flight goes before what came later: the order of one client's requests is kept.
        owner.waiting.extendleft(reversed(fate.again))
        if owner.generation <= generation:
            owner.route = None
        return fate

    @staticmethod
    def _verdict(flight: Flight, *, blame: bool) -> WharfieError | None:
        if blame and not flight.rule.waits:
            flight.crashes += 1
        method = flight.header.method
        if flight.crashes >= CRASHES_MAX:
            return Poisoned(
                f"worker '{flight.owner}' crashed {flight.crashes} times with this '{method}' in flight; it is"
                " quarantined",
                details={"poisoned": True, "crashes": flight.crashes},
                maybe_done=flight.rule.mode is not Mode.READ,
            )
        if flight.rule.mode is Mode.STREAM and flight.items:
            return Unavailable(
                f"worker '{flight.owner}' went away in the middle of '{method}'; ask again from where you are",
                details={"reason": "worker_died", "resume": True},
                retryable=True,
            )
        if flight.rule.mode is Mode.WRITE and not flight.header.key:
            return Unavailable(
                f"worker '{flight.owner}' died while it worked on '{method}'; it may have been done (send a 'key' to"
                " be safe)",
                details={"reason": "worker_died"},
                retryable=False,
                maybe_done=True,
            )
        return None

    def expired(self, now_ns: int) -> Iterator[Flight]:
        """Flights whose deadline has passed; finds the next nearest one on the way."""
        if not self.nearest_deadline_ns or now_ns < self.nearest_deadline_ns:
            return
        nearest = 0
        late: list[Flight] = []
        for flight in self.by_number.values():
            if not flight.deadline_ns:
                continue
            if flight.deadline_ns <= now_ns:
                late.append(flight)
            elif not nearest or flight.deadline_ns < nearest:
                nearest = flight.deadline_ns
        self.nearest_deadline_ns = nearest
        yield from late
