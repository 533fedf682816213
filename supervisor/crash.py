"""Crash reports: what is known of each death that nobody asked for; the last ones of each actor are kept."""

from __future__ import annotations

import logging
import time
from collections import deque

import msgspec

from supervisor.events import Report
from supervisor.incarnation import Departed
from wharfie.types.supervisor import CrashReport

log = logging.getLogger("supervisor")


class Crashes:
    """The last reports of each actor, oldest first."""

    def __init__(self, keep: int) -> None:
        self.keep = keep
        """Reports kept for each actor; a smaller number takes effect with the next report."""
        self._by_name: dict[str, deque[CrashReport]] = {}

    def add(self, report: Report, departed: Departed) -> CrashReport:
        """Make a report, log it and keep it."""
        end = report.exit
        crash = CrashReport(
            name=report.child,
            generation=report.generation,
            pid=report.pid,
            at_ns=time.time_ns(),
            reason=report.cause,
            exit_code=end.code if end is not None else None,
            signal=end.signal if end is not None else None,
            oom=end.oom if end is not None else False,
            uptime_s=round(report.uptime_s, 6),
            was_ready=report.was_ready,
            stack=departed.stack,
            rss_bytes=departed.rss_bytes,
            peak_rss_bytes=departed.peak_rss_bytes,
        )
        log.error(
            "actor crashed",
            extra={
                "actor": crash.name,
                "generation": crash.generation,
                "pid": crash.pid,
                "reason": crash.reason,
                "uptime_s": crash.uptime_s,
                **({"stack": crash.stack} if crash.stack else {}),
            },
        )
        reports = self._by_name.setdefault(report.child, deque())
        reports.append(crash)
        while len(reports) > self.keep:
            reports.popleft()
        return crash

    def was_working_on(self, name: str, generation: int, methods: list[str]) -> None:
        """Add what the router had in flight there; it comes after the report, or never if the stop was asked for."""
        reports = self._by_name.get(name, deque())
        for index, crash in enumerate(reports):
            if crash.generation == generation:
                reports[index] = msgspec.structs.replace(crash, in_flight=methods)

    def of(self, name: str) -> list[CrashReport]:
        """The last reports of one actor, oldest first."""
        return list(self._by_name.get(name, ()))

    def all(self) -> list[CrashReport]:
        """The last reports of everybody, oldest first."""
        return sorted((crash for reports in self._by_name.values() for crash in reports), key=lambda c: c.at_ns)
