"""The payloads of events, with the fields that containerd's have; times are in nanoseconds."""

from __future__ import annotations

from typing import Any

from shim.process import Process
from shim.protocol import Create


def of_create(body: Create, pid: int) -> dict[str, Any]:
    """`/tasks/create`."""
    stdio = body.stdio
    rootfs: list[dict[str, Any]] = []
    for one in body.rootfs:
        # A comprehension makes a function, and its pages.
        rootfs.append(  # noqa: PERF401
            {"type": one.type, "source": one.source, "target": one.target, "options": one.options}
        )
    return {
        "bundle": body.bundle,
        "rootfs": rootfs,
        "io": {"stdin": stdio.stdin, "stdout": stdio.stdout, "stderr": stdio.stderr, "terminal": stdio.terminal},
        "pid": pid,
    }


def of_end(container_id: str, process: Process) -> dict[str, Any]:
    """`/tasks/exit` and `/tasks/delete`."""
    return {
        "id": process.exec_id or container_id,
        "pid": process.pid,
        "exit_status": process.exit_status,
        "exited_at_ns": process.exited_at_ns,
    }
