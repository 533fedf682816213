"""`gc.*`: collecting now, and asking the graph."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from actors.call import Call, handles
from actors.metadata.collector import Collector, Inspection
from actors.metadata.edges import PAGE
from actors.metadata.references import CONTENT, IMAGES, SNAPSHOTS, Kind, kind_of, number_of
from actors.metadata.scheduler import Scheduler
from actors.metadata.transaction import Transactions
from wharfie.errors import NotFound
from wharfie.identifiers import check_name, check_namespace
from wharfie.types import gc
from wharfie.types.gc import Explanation, Link, Orphan

CHAINS_SHOWN = 32


class GarbageService:
    """`gc.run`, `gc.explain`, `gc.orphans`."""

    def __init__(self, store: Transactions, collector: Collector, scheduler: Scheduler) -> None:
        self._store = store
        self.collector = collector
        self.scheduler = scheduler

    @handles("gc.run")
    async def run(self, call: Call, request: gc.Run) -> gc.Collected:
        """Collect in all namespaces, thoroughly. Idempotent."""
        del call, request
        return await self.scheduler.collect(thorough=True)

    @handles("gc.explain")
    async def explain(self, call: Call, request: gc.Explain) -> gc.Explanations:
        """What has this id, and the ways from roots to it. Raises: NotFound, InvalidArgument (no id)."""
        namespace = check_namespace(call.namespace)
        wanted = check_name(request.id, field="id")
        into: dict[int, list[int]] = {}
        inspection = await self.collector.inspect(
            namespace, on_edge=lambda node, target: into.setdefault(target, []).append(node)
        )
        nodes = inspection.edges.resolve([(kind, wanted) for kind in self._types(inspection)])
        if not nodes:
            raise NotFound(
                f"nothing in namespace '{namespace}' has the digest, key or name '{wanted[:80]}'",
                details={"id": wanted[:80]},
            )
        return gc.Explanations(things=[self._explanation(inspection, node, into) for node in nodes])

    @staticmethod
    def _types(inspection: Inspection) -> list[str]:
        return [CONTENT, IMAGES, *(f"{SNAPSHOTS}{snapshotter}" for snapshotter in inspection.edges.snapshotters())]

    def _explanation(self, inspection: Inspection, node: int, into: dict[int, list[int]]) -> Explanation:
        chains, roots = shortest_chains(node, into, inspection.marking.roots, limit=CHAINS_SHOWN)
        (own,) = self._links(inspection, [node])
        return Explanation(
            type=own.type, id=own.id, chains=[self._links(inspection, chain) for chain in chains], roots=roots
        )

    def _links(self, inspection: Inspection, chain: Iterable[int]) -> list[Link]:
        named = (inspection.edges.name_of(node) for node in chain)
        return [Link(type=name[0], id=name[1]) for name in named if name is not None]

    @handles("gc.orphans")
    async def orphans(self, call: Call, request: gc.FindOrphans) -> gc.Orphans:
        """What a collection would take now; changes nothing. Raises: Unavailable (an owner is away)."""
        del call, request
        things: list[Orphan] = []
        for namespace in self.collector.namespaces():
            inspection = await self.collector.inspect(namespace)
            for index, node in enumerate(inspection.white):
                if not index % PAGE:
                    await asyncio.sleep(0)  # others first
                name = inspection.edges.name_of(node)
                if name is not None:
                    things.append(Orphan(namespace=namespace, type=name[0], id=name[1], size=self._size(node)))
        files, directories = await self.collector.nameless()
        return gc.Orphans(things=things, files=files, directories=directories)

    def _size(self, node: int) -> int:
        table = {Kind.BLOB: "blobs", Kind.SNAPSHOT: "snapshots"}.get(kind_of(node))
        if table is None:
            return -1
        row = self._store.read(f"SELECT size FROM {table} WHERE number = ?", (number_of(node),)).fetchone()  # noqa: S608 - one of two
        return int(row[0]) if row else -1


def shortest_chains(
    node: int, into: dict[int, list[int]], roots: set[int], *, limit: int
) -> tuple[list[list[int]], int]:
    """For each root that leads to a node the shortest way from it, nearest roots first; at most `limit`, and how many
    roots there are. Pure.

    Args:
        node: that is led to.
        into: for each node those that refer to it.
        roots: the nodes that are kept by themselves.
        limit: how many ways are wanted.
    """
    toward: dict[int, int] = {node: node}
    found: list[list[int]] = []
    count = 0
    queue = deque([node])
    while queue:
        here = queue.popleft()
        if here in roots:
            count += 1
            if len(found) < limit:
                chain = [here]
                while chain[-1] != node:
                    chain.append(toward[chain[-1]])
                found.append(chain)
        for above in into.get(here, ()):
            if above not in toward:
                toward[above] = here
                queue.append(above)
    return found, count
