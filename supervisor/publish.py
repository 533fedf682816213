"""`wharfied publish`: one event from standard input to the running daemon."""

from __future__ import annotations

import msgspec


class BadEvent(Exception):
    """Standard input holds no event."""


def publish(data: bytes, *, address: str, namespace: str, topic: str) -> int:
    """Publish a JSON object (nothing at all counts as an empty one) and return the event's number.

    Raises: BadEvent; WharfieError (`unavailable` when no daemon answers at `address`, `invalid_argument` for a topic).
    """
    import wharfie  # only this sub-command is a client

    try:
        event = msgspec.json.decode(data or b"{}", type=dict[str, object])
    except msgspec.DecodeError as error:
        raise BadEvent(f"standard input is not a JSON object: {error}") from None
    with wharfie.connect(address, namespace=namespace) as client:
        return int(client.events.publish(topic, event))
