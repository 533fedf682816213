"""One measured figure beside its peer and its target, and the table of them."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A row. `limit` is for the ratio when there is a peer, else for the value itself; `higher` says which way is good."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = "containerd"
    limit: float | None = None
    higher: bool = False
    floor: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.peer else self.ours / self.peer

    @property
    def verdict(self) -> str:
        measured = self.ratio if self.peer is not None else self.ours
        if self.limit is None or measured is None:
            return ""
        return "ok" if (measured >= self.limit if self.higher else measured <= self.limit) else "MISSED"

    def row(self) -> str:
        peer = "" if self.peer is None else f"{self.peer:,.2f} {self.unit} ({self.peer_name})"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        limit = "" if self.limit is None else f"{'≥' if self.higher else '≤'} {self.limit:g}"
        return f"| {self.name} | {self.ours:,.2f} {self.unit} | {peer} | {ratio} | {limit} | {self.verdict} | {self.floor} |"


HEAD = "| figure | wharfie | peer | ratio | must be | | floor |\n|---|---|---|---|---|---|---|"


def in_turn(rounds: int, **doers: Callable[[], object]) -> dict[str, list[float]]:
    """Milliseconds of each, called by turns, so that the machine's moods hit all alike."""
    times: dict[str, list[float]] = {name: [] for name in doers}
    for _ in range(rounds):
        for name, do in doers.items():
            start = time.perf_counter()
            do()
            times[name].append((time.perf_counter() - start) * 1000)
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}
