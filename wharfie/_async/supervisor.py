"""`client.supervisor`: the daemon's processes."""

from __future__ import annotations

import builtins
from typing import Any

from wharfie._async.base import UNSET, Service
from wharfie.types import supervisor as t


class Supervisor(Service):
    """What runs, what died and why, and a hand on both."""

    async def list(self, *, timeout_s: float | None = UNSET) -> builtins.list[t.Actor]:
        """The supervisor's children, in start order."""
        return (await self._caller.call("supervisor.list", t.List(), t.Actors, timeout_s=timeout_s)).actors

    async def tree(self, *, timeout_s: float | None = UNSET) -> t.Node:
        """The supervisor and what is below it, jobs and shims too."""
        return await self._caller.call("supervisor.tree", t.Tree(), t.Node, timeout_s=timeout_s)

    async def get(self, name: str, *, timeout_s: float | None = UNSET) -> t.Inspection:
        """One child whole: its specification, what it said at ready, its last crash reports.

        Raises:
            NotFound: there is no such child; the message names those there are.
        """
        return await self._caller.call("supervisor.get", t.Get(name=name), t.Inspection, timeout_s=timeout_s)

    async def crash_reports(self, name: str = "", *, timeout_s: float | None = UNSET) -> builtins.list[t.CrashReport]:
        """The last deaths of one child, or of all."""
        request = t.GetCrashReports(name=name)
        return (
            await self._caller.call("supervisor.crash_reports", request, t.CrashReports, timeout_s=timeout_s)
        ).reports

    async def restart(self, name: str, *, timeout_s: float | None = UNSET) -> None:
        """Stop a child in order and start its next incarnation."""
        await self._caller.tell("supervisor.restart", t.Restart(name=name), timeout_s=timeout_s)

    async def stop(self, name: str, *, timeout_s: float | None = UNSET) -> None:
        """Stop a child until it is started again; requests for it wait."""
        await self._caller.tell("supervisor.stop", t.Stop(name=name), timeout_s=timeout_s)

    async def start(self, name: str, *, timeout_s: float | None = UNSET) -> None:
        """Start a stopped or failed child."""
        await self._caller.tell("supervisor.start", t.Start(name=name), timeout_s=timeout_s)

    async def log_level(self, level: str, name: str = "", *, timeout_s: float | None = UNSET) -> None:
        """Log from a level upwards, in one child or in all."""
        await self._caller.tell("supervisor.log_level", t.SetLogLevel(level=level, name=name), timeout_s=timeout_s)

    async def dump(self, *, timeout_s: float | None = UNSET) -> dict[str, str]:
        """What every process does at this moment, by name; it goes into the log, too."""
        return (await self._caller.call("supervisor.dump", t.Dump(), t.Stacks, timeout_s=timeout_s)).stacks

    async def reload(self, *, timeout_s: float | None = UNSET) -> t.Reloaded:
        """Read the configuration again."""
        return await self._caller.call("supervisor.reload", t.Reload(), t.Reloaded, timeout_s=timeout_s)

    async def router_stats(self, *, timeout_s: float | None = UNSET) -> dict[str, Any]:
        """The router's counts and queues."""
        return await self._caller.call("router.stats", t.List(), dict[str, Any], timeout_s=timeout_s)

    async def dead_letters(self, *, timeout_s: float | None = UNSET) -> builtins.list[dict[str, Any]]:
        """Messages that nobody took, oldest first."""
        answer = await self._caller.call("router.dead_letters", t.List(), dict[str, Any], timeout_s=timeout_s)
        return list(answer["dead_letters"])
