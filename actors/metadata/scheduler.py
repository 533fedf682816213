"""Collections when `schedule` says so, and for those who wait for one."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TypeVar

from actors.metadata.collector import Collector
from actors.metadata.schedule import NEVER, Schedule
from actors.metadata.transaction import Transactions
from config.settings import Gc
from wharfie.errors import WharfieError
from wharfie.types import gc

log = logging.getLogger("gc")

LONGEST_SLEEP_S = 600.0
"""Wall time, by which things expire, may be set meanwhile."""

T = TypeVar("T")


class Scheduler:
    """Runs the collector beside the requests.

    Args:
        store: the database; its commits are followed.
        collector: does the work.
        settings: `[gc]`.
    """

    def __init__(self, store: Transactions, collector: Collector, settings: Gc) -> None:
        self._store = store
        self._collector = collector
        self._schedule = Schedule(settings, now_s=time.monotonic())
        self._wake = asyncio.Event()
        self._deletions = store.graph.deletions
        self._mutations = store.mutations
        self._considered_ns = 0
        self._waiting: list[asyncio.Future[gc.Collected]] = []
        self._thorough = False
        store.on_commit = self._on_commit

    async def collect(self, *, thorough: bool = False) -> gc.Collected:
        """A collection that begins after this was called; several who wait share it.

        Raises:
            WharfieError: it failed.
        """
        future: asyncio.Future[gc.Collected] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._thorough = self._thorough or thorough
        self._schedule.requested(now_s=time.monotonic())
        self._wake.set()
        return await future

    async def after(self, reply: T) -> T:
        """A reply, once a collection has been run: what `sync` asks for."""
        await self.collect()
        return reply

    async def run(self) -> None:
        """Collect for ever, until the task is cancelled."""
        self._plan_expiry()
        while True:
            wait_s = min(self._schedule.due_s() - time.monotonic(), LONGEST_SLEEP_S)
            if wait_s > 0:
                self._wake.clear()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    self._plan_expiry()
                continue
            await self._run_once()
            self._plan_expiry()

    async def _run_once(self) -> None:
        waiting, self._waiting = self._waiting, []
        thorough, self._thorough = self._thorough, False
        self._note()
        self._schedule.began()
        now_ns = self._store.now_ns()
        try:
            collected = await self._collector.collect(thorough=thorough)
        except Exception as error:
            # Whatever it was: the next collection is made, and nobody waits for this one for ever.
            log.warning("collecting garbage failed: %s", error, exc_info=not isinstance(error, WharfieError))
            self._schedule.failed(now_s=time.monotonic())
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        self._considered_ns = now_ns
        self._schedule.ended(busy_s=self._collector.busy_ns / 1e9, now_s=time.monotonic())
        log.debug("garbage collected: %s", collected)
        for future in waiting:
            if not future.done():
                future.set_result(collected)

    # -- what happens meanwhile --------------------------------------------------------------------------------------

    def _on_commit(self) -> None:
        before_s = self._schedule.due_s()
        self._note()
        if self._store.graph.expiry_changed:
            self._plan_expiry()
        if self._schedule.due_s() < before_s:
            self._wake.set()

    def _note(self) -> None:
        deletions, mutations = self._store.graph.deletions, self._store.mutations
        self._schedule.noted(
            deletions=deletions - self._deletions, mutations=mutations - self._mutations, now_s=time.monotonic()
        )
        self._deletions, self._mutations = deletions, mutations

    def _plan_expiry(self) -> None:
        """When the next lease or image expires. What had, when the last collection began, is kept by something."""
        self._store.graph.expiry_changed = False
        found: list[int] = []
        for table in ("leases", "images"):
            (at_ns,) = self._store.read(
                f"SELECT min(expires_ns) FROM {table} WHERE expires_ns > ?",  # noqa: S608 - one of two
                (self._considered_ns,),
            ).fetchone()
            if at_ns is not None:
                found.append(at_ns)
        if not found:
            self._schedule.expires(NEVER)
            return
        self._schedule.expires(time.monotonic() + max(0.0, (min(found) - self._store.now_ns()) / 1e9))
