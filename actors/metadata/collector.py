"""One collection after another: mark and sweep each namespace, then have the owners of bytes and directories follow.

All of it happens in the worker's own loop, in steps of a few milliseconds between which requests are served (see
`marking` for why that is safe and `sweeping` for what an observer sees). A second connection with its own snapshot was
the alternative: it needs a shared-memory file that a full disk can tear away (`database`), a second core, and the same
barrier, since what is named after the snapshot was taken must not be deleted.

What has lost its name is deleted by its owner, who asks again whether it has none. A crash in between costs nothing but
time: the first collection of each incarnation of this worker, and the next one after a failure, have the owners look
through all that they have.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from actors import internal
from actors.metadata.database import typed
from actors.metadata.edges import Edges
from actors.metadata.marking import Marking
from actors.metadata.sweeping import Sweeping, Swept
from actors.metadata.transaction import Transactions
from wharfie import failpoint
from wharfie.errors import WharfieError
from wharfie.types import gc

log = logging.getLogger("gc")

STEP_NS = 3_000_000
"""What one step takes at most, a page and a commit aside."""

DIGESTS_AT_ONCE = 1000
OWNER_TIMEOUT_S = 600.0


class Asks(Protocol):
    """How other workers are asked (`Worker.call`)."""

    async def __call__(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[Any],
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Any:
        """As `Worker.call`."""


class Inspection(NamedTuple):
    """A namespace's graph, its marks, and what they did not reach."""

    edges: Edges
    marking: Marking
    white: list[int]


class Collector:
    """Collects, one at a time.

    Args:
        store: the database.
        ask: reaches the owners; None: there are none (a test).
        snapshotters: whose directories there may be.
    """

    def __init__(self, store: Transactions, *, ask: Asks | None, snapshotters: frozenset[str]) -> None:
        self._store = store
        self._ask = ask
        self._snapshotters = snapshotters
        self._turn = asyncio.Lock()
        self._all_looked_through = False
        self._serial = 0
        self._prefix = os.urandom(9).hex()
        self.busy_ns = 0
        self.longest_ns = 0

    # -- a collection ------------------------------------------------------------------------------------------------

    async def collect(self, *, thorough: bool = False) -> gc.Collected:
        """Mark and sweep everything once; what was garbage when this was called is gone when it returns.

        Args:
            thorough: have the owners look for files and directories without a name, too.

        Raises:
            WharfieError: the database failed; what was deleted until then is deleted whole.
        """
        async with self._turn:
            begun_ns = time.monotonic_ns()
            self.busy_ns = self.longest_ns = 0
            total = gc.Collected()
            dead: list[str] = []
            touched: set[str] = set()
            try:
                for namespace in self.namespaces():
                    leases = await self._expire(namespace)
                    swept = await self._mark_and_sweep(namespace)
                    dead.extend(swept.digests)
                    touched |= swept.snapshotters
                    total = _sum(total, swept, leases)
                await self._drop_lists()
            except sqlite3.Error as error:
                raise typed(error) from error
            finally:
                self._store.graph.barrier = None
                # Until the owners have been told of all that was deleted so far.
                looked_through, self._all_looked_through = self._all_looked_through, False
            failpoint.hit("metadata.gc.swept")
            total = await self._tell_owners(total, dead, touched, thorough=thorough or not looked_through)
            seconds = (time.monotonic_ns() - begun_ns) / 1e9
            return msgspec.structs.replace(total, seconds=seconds, longest_pause_s=self.longest_ns / 1e9)

    def namespaces(self) -> list[str]:
        """All that there are, by name."""
        return [name for (name,) in self._store.read("SELECT name FROM namespaces ORDER BY name").fetchall()]

    async def _expire(self, namespace: str) -> int:
        """Forget the leases whose time is up, a few in each transaction."""
        gone = 0

        def some(_: int) -> bool:
            nonlocal gone
            rows = self._store.read(
                "SELECT number FROM leases WHERE expires_ns <= ? AND namespace = ? LIMIT 64",
                (self._store.now_ns(), namespace),
            ).fetchall()
            if rows:
                self._store.background(functools.partial(self._forget, rows))
            gone += len(rows)
            return len(rows) < 64

        await self._in_steps(some)
        return gone

    def _forget(self, leases: list[tuple[int]]) -> None:
        graph = self._store.graph
        deletions = graph.deletions
        for (number,) in leases:
            self._store.holding.delete(number)
        graph.deletions = deletions  # what they held is looked for in this collection: no reason for another

    async def _mark_and_sweep(self, namespace: str) -> Swept:
        store = self._store
        edges = Edges(store.connection, namespace, now_ns=store.now_ns())
        marking = Marking(edges)
        store.graph.barrier = marking
        await self._in_steps(marking.step)
        failpoint.hit("metadata.gc.marked")
        sweeping = Sweeping(store, edges, marking)
        await self._in_steps(sweeping.look)
        if sweeping.white:
            await self._in_steps(lambda budget_ns: _delete_some(store, marking, sweeping, budget_ns))
        store.graph.barrier = None
        return sweeping.swept

    async def inspect(self, namespace: str, *, on_edge: Callable[[int, int], None] | None = None) -> Inspection:
        """What a collection of a namespace would find now; changes nothing.

        Args:
            namespace: to look at.
            on_edge: told of each edge that is followed.
        """
        store = self._store
        async with self._turn:
            edges = Edges(store.connection, namespace, now_ns=store.now_ns())
            marking = store.graph.barrier = Marking(edges, on_edge=on_edge)
            try:
                await self._in_steps(marking.step)
                sweeping = Sweeping(store, edges, marking)
                await self._in_steps(sweeping.look)
                await self._in_steps(marking.step)
                return Inspection(edges, marking, sweeping.white)
            except sqlite3.Error as error:
                raise typed(error) from error
            finally:
                store.graph.barrier = None

    async def _in_steps(self, step: Callable[[int], bool]) -> None:
        """Call `step` until it is done, and let requests be served in between."""
        done = False
        while not done:
            self._store.commit()
            begun_ns = time.monotonic_ns()
            done = step(STEP_NS)
            took_ns = time.monotonic_ns() - begun_ns
            self.busy_ns += took_ns
            self.longest_ns = max(self.longest_ns, took_ns)
            await asyncio.sleep(0)

    async def _drop_lists(self) -> None:
        """Delete what leases held that are gone, some hundred rows in each transaction."""
        last = -1

        def some(budget_ns: int) -> bool:
            nonlocal last
            until_ns = time.monotonic_ns() + budget_ns
            while time.monotonic_ns() < until_ns:
                (lease,) = self._store.read(
                    "SELECT min(lease) FROM lease_resources WHERE lease > ?", (last,)
                ).fetchone()
                if lease is None:
                    return True
                if self._is_lease(lease) or self._store.background(functools.partial(self._drop_some, lease)):
                    last = lease
            return False

        await self._in_steps(some)

    def _is_lease(self, number: int) -> bool:
        return self._store.read("SELECT 1 FROM leases WHERE number = ?", (number,)).fetchone() is not None

    def _drop_some(self, lease: int) -> bool:
        return (
            self._store.connection.execute(
                "DELETE FROM lease_resources WHERE (lease, type, id) IN"
                " (SELECT lease, type, id FROM lease_resources WHERE lease = ? LIMIT 500)",
                (lease,),
            ).rowcount
            < 500
        )

    # -- what others own ---------------------------------------------------------------------------------------------

    async def _tell_owners(
        self, total: gc.Collected, dead: list[str], touched: set[str], *, thorough: bool
    ) -> gc.Collected:
        """Have bytes and directories without a name deleted. An owner that is away is told again the next time."""
        if self._ask is None:
            return total
        try:
            for begin in range(0, max(len(dead), 1), DIGESTS_AT_ONCE):
                some = dead[begin : begin + DIGESTS_AT_ONCE]
                request = internal.ContentCollect(digests=some, all=thorough and not begin)
                done = await self._call("content.collect", request, internal.ContentCollected)
                total = msgspec.structs.replace(
                    total,
                    files=total.files + done.files,
                    bytes=total.bytes + done.bytes,
                    ingests=total.ingests + done.ingests,
                )
            for snapshotter in sorted(self._snapshotters if thorough else touched & self._snapshotters):
                ask = internal.SnapshotCollect(snapshotter=snapshotter)
                collected = await self._call("snapshot.collect", ask, internal.SnapshotCollected)
                total = msgspec.structs.replace(total, directories=total.directories + collected.removed)
            self._all_looked_through = True
        except WharfieError as error:
            log.warning("what has lost its name is deleted with the next collection: %s", error)
        return total

    async def nameless(self) -> tuple[list[str], list[str]]:
        """Digests of files, and SNAPSHOTTER/NUMBER of directories, that no namespace names; changes nothing.

        Raises:
            WharfieError: an owner cannot be asked.
        """
        if self._ask is None:
            return [], []
        everything = internal.ContentCollect(all=True, dry=True)
        found = await self._call("content.collect", everything, internal.ContentCollected)
        directories: list[str] = []
        for snapshotter in sorted(self._snapshotters):
            ask = internal.SnapshotCollect(snapshotter=snapshotter, dry=True)
            collected = await self._call("snapshot.collect", ask, internal.SnapshotCollected)
            directories.extend(f"{snapshotter}/{number}" for number in collected.numbers)
        return found.digests, directories

    async def _call(self, method: str, request: msgspec.Struct, reply: type[Any]) -> Any:
        assert self._ask is not None
        self._serial += 1
        key = f"gc-{self._prefix}-{self._serial}"
        return await self._ask(method, request, reply, key=key, timeout_s=OWNER_TIMEOUT_S)


def _delete_some(store: Transactions, marking: Marking, sweeping: Sweeping, budget_ns: int) -> bool:
    """Go on marking when the barrier was told something; delete only when nothing is left to be looked through."""
    if not marking.step(budget_ns):
        return False
    return store.background(lambda: sweeping.delete(budget_ns))


def _sum(total: gc.Collected, swept: Swept, leases: int) -> gc.Collected:
    return msgspec.structs.replace(
        total,
        blobs=total.blobs + swept.blobs,
        snapshots=total.snapshots + swept.snapshots,
        images=total.images + swept.images,
        leases=total.leases + leases,
    )
