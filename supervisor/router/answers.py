"""What the router answers itself: the version, its own counts, the dead letters. Encoded bodies; pure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from supervisor.router.flights import Flights, Peer
from wharfie import protocol
from wharfie.types.introspection import Version
from wharfie.version import REVISION, __version__

VERSION: bytes = protocol.encode(Version(version=__version__, revision=REVISION))
"""The reply of `version.get`: it cannot change while this process lives."""


def stats(flights: Flights, peers: Iterable[Peer], counts: dict[str, int], *, started_ns: int) -> bytes:
    """The reply of `router.stats`: counts since the start, and what is queued for whom."""
    return protocol.encode(
        {
            "uptime_s": (time.monotonic_ns() - started_ns) / 1e9,
            "counts": counts,
            "in_flight": len(flights.by_number),
            "clients": [
                {"side": peer.side, "uid": peer.uid, "pid": peer.pid, "outstanding": len(peer.flights),
                 "unread_bytes": peer.outbox_bytes + (peer.link.queued_bytes if peer.link is not None else 0)}
                for peer in peers
                if peer.side != "back"
            ],
            "workers": {
                name: {
                    "connected": owner.route is not None,
                    "generation": owner.generation,
                    "waiting": len(owner.waiting),
                    "in_flight": len(owner.flights),
                }
                for name, owner in flights.owners.items()
            },
        }
    )  # fmt: skip


def dead_letters(letters: Iterable[dict[str, Any]]) -> bytes:
    """The reply of `router.dead_letters`, oldest first."""
    return protocol.encode({"dead_letters": list(letters)})


def code_of(body: Any) -> str:
    """The code in the body of an error."""
    try:
        return msgspec.msgpack.decode(body, type=protocol.ErrorBody).code
    except msgspec.MsgspecError:
        return "internal"
