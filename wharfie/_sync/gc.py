# Made from wharfie/_async/gc.py by scripts/unasync.py; change that file and run it again.
"""`client.gc`."""

from __future__ import annotations

from wharfie._sync.base import UNSET, Service
from wharfie.types import gc as t


class GarbageCollector(Service):
    """Collecting garbage, and asking what is garbage."""

    def run(self, *, timeout_s: float | None = UNSET) -> t.Collected:
        """Collect now, in all namespaces; returns what went."""
        return self._caller.call("gc.run", t.Run(), t.Collected, timeout_s=timeout_s)

    def explain(self, id: str, *, timeout_s: float | None = UNSET) -> list[t.Explanation]:  # noqa: A002
        """Who holds what has this digest, snapshot key or image name in the namespace.

        Raises:
            NotFound: nothing has it.
        """
        return (self._caller.call("gc.explain", t.Explain(id=id), t.Explanations, timeout_s=timeout_s)).things

    def orphans(self, *, timeout_s: float | None = UNSET) -> t.Orphans:
        """What nothing holds, in all namespaces. Changes nothing."""
        return self._caller.call("gc.orphans", t.FindOrphans(), t.Orphans, timeout_s=timeout_s)
