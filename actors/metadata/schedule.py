"""When the next collection is due. Pure: whoever asks says what time it is, in seconds of any steady clock.

containerd's rules: a request runs one after `schedule_delay`; so many deletions as `deletion_threshold` do, too; else a
deletion, or `mutation_threshold` changes, make the next one run that is allowed, and one is allowed when the time spent
collecting is at most the share `pause_threshold` of all time. Different from there, nothing ticks while nothing
happens, and what expires (a lease, an image) is a reason of its own.
"""

from __future__ import annotations

from config.settings import Gc

FLOOR_S = 0.005
"""What a collection is taken to last at least, so that short ones do not come in a row."""

FIRST_INTERVAL_S = 1.0
FAILED_S = 1.0

LATEST_S = 3600.0
"""After this long one runs for no reason known here: an ingest may have expired, which only its owner knows."""

NEVER = float("inf")


class Schedule:
    """What has happened since the last collection, and what follows from it.

    Args:
        settings: `[gc]`.
        now_s: the daemon's start; the first collection always runs.
    """

    def __init__(self, settings: Gc, *, now_s: float) -> None:
        self._settings = settings
        self._forced_s = now_s + settings.startup_delay_s
        self._wanted_s = NEVER
        self._expiry_s = NEVER
        self._allowed_s = now_s
        self._deletions = 0
        self._mutations = 0
        self._count = 0
        self._total_s = 0.0
        self.interval_s = FIRST_INTERVAL_S

    def requested(self, *, now_s: float) -> None:
        """Somebody waits for one."""
        self._forced_s = min(self._forced_s, now_s + self._settings.schedule_delay_s)

    def noted(self, *, deletions: int, mutations: int, now_s: float) -> None:
        """So many deletions and changes more."""
        settings = self._settings
        self._deletions += deletions
        self._mutations += mutations
        at_s = now_s + settings.schedule_delay_s
        if settings.deletion_threshold and self._deletions >= settings.deletion_threshold:
            self._forced_s = min(self._forced_s, at_s)
        if self._deletions or (settings.mutation_threshold and self._mutations >= settings.mutation_threshold):
            self._wanted_s = min(self._wanted_s, at_s)

    def expires(self, at_s: float) -> None:
        """The next thing that expires does so then; NEVER when nothing does."""
        self._expiry_s = at_s

    def due_s(self) -> float:
        """When to collect; NEVER when there is no reason to."""
        return min(self._forced_s, max(self._allowed_s, min(self._wanted_s, self._expiry_s)))

    def began(self) -> None:
        """A collection begins: what happens from now on is a reason for another."""
        self._forced_s = self._wanted_s = self._expiry_s = NEVER
        self._deletions = self._mutations = 0

    def ended(self, *, busy_s: float, now_s: float) -> None:
        """It kept the worker busy for so long."""
        self._count += 1
        self._total_s += busy_s
        average_s = max(self._total_s / self._count, FLOOR_S)
        self.interval_s = average_s / self._settings.pause_threshold - average_s
        self._allowed_s = now_s + self.interval_s
        self._forced_s = min(self._forced_s, now_s + LATEST_S)

    def failed(self, *, now_s: float) -> None:
        """It came to nothing: again, but not at once."""
        self._allowed_s = now_s + self.interval_s + FAILED_S
        self._forced_s = min(self._forced_s, now_s + LATEST_S)
        self._wanted_s = min(self._wanted_s, self._allowed_s)
