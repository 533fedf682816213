"""The methods of the wire about differences: `diff.*` and `transfer.commit`. All are streams: they may take long."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

from actors.call import Call, Result, handles
from actors.transfer.committer import Committer
from actors.transfer.differ import Differ, Errand
from actors.transfer.operations import Operations, Report
from wharfie.identifiers import check_count
from wharfie.types import diff, transfer
from wharfie.types.diff import Changes
from wharfie.types.transfer import Committed, Progress

_CHANGES_PER_ITEM = 500


class DiffService:
    """Handlers of the transfer worker."""

    def __init__(self, differ: Differ, committer: Committer) -> None:
        self._differ = differ
        self._committer = committer
        self._operations = Operations()

    @handles("diff.create")
    async def create(self, call: Call, request: diff.Create) -> AsyncIterator[Progress | Result]:
        """A layer. Idempotent; see `Differ.create`."""

        async def work(report: Report) -> diff.Created:
            return await self._differ.create(_errand(call, report), request)

        async for item in self._operations.follow(call, work):
            yield item

    @handles("diff.apply")
    async def apply(self, call: Call, request: diff.Apply) -> AsyncIterator[Progress | Result]:
        """A layer onto a tree; see `Differ.apply`."""

        async def work(report: Report) -> diff.Applied:
            return await self._differ.apply(_errand(call, report), request)

        async for item in self._operations.follow(call, work):
            yield item

    @handles("diff.changes")
    async def changes(self, call: Call, request: diff.GetChanges) -> AsyncIterator[Changes]:
        """What differs; see `Differ.changes`."""
        found = await self._differ.changes(_errand(call, _unheard), request)
        for start in range(check_count(request.skip, field="skip"), len(found), _CHANGES_PER_ITEM):
            yield Changes(changes=found[start : start + _CHANGES_PER_ITEM])

    @handles("transfer.commit")
    async def commit(self, call: Call, request: transfer.Commit) -> AsyncIterator[Progress | Result]:
        """An image of a container. Idempotent under its key; see `Committer.run`."""

        async def work(report: Report) -> Committed:
            return await self._committer.run(call, request, report)

        async for item in self._operations.follow(call, work):
            yield item


def _unheard(_progress: Progress) -> None:
    """Nobody is told."""


def _errand(call: Call, report: Report) -> Errand:
    return Errand(
        namespace=call.namespace, key=call.derive("layer") or uuid.uuid4().hex, lease=call.lease, report=report
    )
