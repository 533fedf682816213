"""The methods of the wire that speak with registries: streams of progress with a result at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from actors.call import Call, Result, handles
from actors.transfer.leftovers import Leftovers
from actors.transfer.operations import Operations, Report
from actors.transfer.puller import Puller
from actors.transfer.pusher import Pusher
from actors.transfer.referrers import ReferrersFinder
from actors.transfer.repairer import Repairer
from wharfie.types.pull import Pull, Pulled, Push, Pushed, Referrers, ReferrersFound, Repair, Repaired
from wharfie.types.transfer import Progress


class PullService:
    """Handlers of the transfer worker for registries."""

    def __init__(
        self, puller: Puller, pusher: Pusher, repairer: Repairer, finder: ReferrersFinder, *, leftovers: Leftovers
    ) -> None:
        self._puller = puller
        self._pusher = pusher
        self._repairer = repairer
        self._finder = finder
        self._leftovers = leftovers
        self._operations = Operations()

    @handles("transfer.pull")
    async def pull(self, call: Call, request: Pull) -> AsyncIterator[Progress | Result]:
        """An image of a registry. Idempotent under its key; see `Puller.run`."""

        async def work(report: Report) -> Pulled:
            pulled = await self._puller.run(call, request, report)
            await self._leftovers.clean_up(call.namespace)
            return pulled

        async for item in self._operations.follow(call, work):
            yield item

    @handles("transfer.push")
    async def push(self, call: Call, request: Push) -> AsyncIterator[Progress | Result]:
        """An image to a registry. Idempotent; see `Pusher.run`."""

        async def work(report: Report) -> Pushed:
            return await self._pusher.run(call, request, report)

        async for item in self._operations.follow(call, work):
            yield item

    @handles("transfer.repair")
    async def repair(self, call: Call, request: Repair) -> AsyncIterator[Progress | Result]:
        """Blobs of registries again. Idempotent; see `Repairer.run`."""

        async def work(report: Report) -> Repaired:
            return await self._repairer.run(call, request, report)

        async for item in self._operations.follow(call, work):
            yield item

    @handles("transfer.referrers")
    async def referrers(self, call: Call, request: Referrers) -> AsyncIterator[Progress | Result]:
        """What refers to an image at its registry. Changes nothing; see `ReferrersFinder.run`."""

        async def work(report: Report) -> ReferrersFound:
            return await self._finder.run(call, request, report)

        async for item in self._operations.follow(call, work):
            yield item
