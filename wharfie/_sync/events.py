# Made from wharfie/_async/events.py by scripts/unasync.py; change that file and run it again.
"""`client.events`: what happens, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wharfie._sync.base import UNSET, Service
from wharfie.types import events as t


class Events(Service):
    """Publish and subscribe."""

    def publish(self, topic: str, event: Mapping[str, Any] | None = None, *, timeout_s: float | None = UNSET) -> int:
        """Publish an event in this namespace; returns its number."""
        request = t.Publish(topic=topic, event=dict(event or {}))
        return (self._caller.call("events.publish", request, t.Published, timeout_s=timeout_s)).seq

    def subscribe(
        self, filters: Sequence[str] = (), *, after_seq: int = -1, timeout_s: float | None = None
    ) -> Iterator[t.Envelope]:
        """Events as they happen, of all namespaces unless filtered (`namespace==ci`).

        Goes on behind the last event it gave when any part of the daemon dies; what the daemon no longer has by then
        is told as an envelope with `gap`.

        Args:
            filters: any of them may match.
            after_seq: begin behind this number; -1: what happens from now on.
            timeout_s: end with `DeadlineExceeded` after this time.
        """
        request = t.Subscribe(filters=[*filters], after_seq=after_seq)
        for envelope, _ in self._caller.stream(
            "events.subscribe", request, t.Envelope, resume=_behind, timeout_s=timeout_s
        ):
            if not envelope.mark:
                yield envelope


def _behind(request: t.Subscribe, envelope: t.Envelope, _length: int) -> t.Subscribe:
    """The request for what follows an event."""
    return msgspec.structs.replace(request, after_seq=envelope.seq)
