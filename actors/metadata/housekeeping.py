"""Pruning what has outlived its use: answers, events, keys of forwarded events.

In steps of a few hundred rows, each a transaction of its own, so that no request waits long behind one.
"""

from __future__ import annotations

import asyncio
import logging

from actors.metadata.transaction import Transactions
from wharfie.errors import WharfieError

log = logging.getLogger("metadata")

INTERVAL_S = 10.0
STEP_ROWS = 256


class Housekeeping:
    """Prunes for ever, until its task is cancelled."""

    def __init__(self, store: Transactions, *, interval_s: float = INTERVAL_S) -> None:
        self._store = store
        self._interval_s = interval_s

    async def run(self) -> None:
        """Prune, then rest; after a failure (a full disk) the next round tries again."""
        while True:
            try:
                more = True
                while more:
                    more = self.step()
                    # Others first: a request that came meanwhile is served between two steps.
                    await asyncio.sleep(0)
            except WharfieError as error:
                log.warning("pruning failed and is tried again in %g s: %s", self._interval_s, error)
            await asyncio.sleep(self._interval_s)

    def step(self) -> bool:
        """Prune a few rows of each kind, all or none. Returns whether there is more.

        Raises:
            WharfieError: nothing was pruned.
        """
        store = self._store

        def prune() -> bool:
            now_ns = store.now_ns()
            more = [
                store.replies.prune(now_ns=now_ns, limit=STEP_ROWS),
                store.events.prune(now_ns=now_ns, limit=STEP_ROWS),
                store.events.prune_forwarded(now_ns=now_ns, limit=STEP_ROWS),
            ]
            return any(more)

        return store.background(prune)
