"""`wharfie ps`: the containers and how they fare."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from cli.duration import ago, spoken
from cli.group import command, option
from cli.output import plain, print_json, print_lines, print_table, short_id
from cli.settings import Settings, pass_settings
from cli.uptime import started_at_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie.types.containers import Container
    from wharfie.types.tasks import Process

COMMAND_WIDTH = 28
SHOWN = ("running", "created", "paused", "pausing", "unknown")
"""States of a task that `ps` shows without -a; `unknown` is a shim that is slow to answer."""


def status_text(task: Process | None, *, started_ns: int, now_ns: int) -> str:
    """How a container fares, in words: `Up 3 minutes`, `Exited (0) 5 seconds ago`, `Created`."""
    if task is None:
        return "Created"
    status = str(task.status)
    if status == "stopped":
        when = f" {ago(task.exited_at_ns, now_ns)}" if task.exited_at_ns else ""
        return f"Exited ({task.exit_status}){when}"
    if status not in {"running", "paused", "pausing"}:
        return status.capitalize()
    up = f"Up {spoken(max(0, now_ns - started_ns) / 1e9)}" if started_ns else "Up"
    return up if status == "running" else f"{up} ({status.capitalize()})"


def command_text(spec: dict[str, object], *, whole: bool) -> str:
    """The command of a specification as a shell would read it, shortened to a column."""
    process = spec.get("process")
    args = process.get("args") if isinstance(process, dict) else None
    text = shlex.join(str(arg) for arg in args) if isinstance(args, list) else ""
    if not whole and len(text) > COMMAND_WIDTH:
        text = f"{text[: COMMAND_WIDTH - 1]}…"
    return text


@command(
    "ps",
    examples="""
    wharfie ps
    wharfie ps -a --filter image==busybox:latest
    wharfie ps -aq --status stopped
    """,
)
@option("-a", "--all", "all_", is_flag=True, help="Also those that have ended or never ran.")
@option("-q", "--quiet", is_flag=True, help="Only the ids, whole.")
@option("--no-trunc", "whole", is_flag=True, help="Shorten nothing.")
@option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="FILTER",
    help="id, image, runtime.name or labels.KEY with ==, != or ~=; any of several may match.",
)
@option("--status", "statuses", multiple=True, metavar="STATUS", help="created, running, paused or stopped.")
@pass_settings
def ps(
    settings: Settings,
    /,
    *,
    all_: bool,
    quiet: bool,
    whole: bool,
    filters: Sequence[str],
    statuses: Sequence[str],
) -> None:
    """List containers.

    Without -a only those whose task is there and has not ended.
    """
    client = settings.client()
    tasks = {task.container_id: task for task in client.tasks.list()}
    records = [found.record for found in client.containers.list(filters, without_spec=quiet and not settings.json)]
    wanted = set(statuses) or (None if all_ else set(SHOWN))
    shown = [
        (record, tasks.get(record.id))
        for record in sorted(records, key=lambda record: record.created_at_ns, reverse=True)
        if _is_wanted(tasks.get(record.id), wanted, chosen=bool(statuses))
    ]
    if settings.json:
        print_json([_object(record, task) for record, task in shown])
    elif quiet:
        print_lines(record.id for record, _ in shown)
    else:
        now_ns = time.time_ns()
        print_table(
            ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PID"),
            (_row(record, task, now_ns, whole=whole) for record, task in shown),
        )


def _is_wanted(task: Process | None, wanted: set[str] | None, *, chosen: bool) -> bool:
    """A container without a task counts as created where a status was asked for, and as ended where none was."""
    if wanted is None:
        return True
    if task is None:
        return chosen and "created" in wanted
    return str(task.status) in wanted


def _row(record: Container, task: Process | None, now_ns: int, *, whole: bool) -> tuple[object, ...]:
    started_ns = 0
    if task is not None and str(task.status) != "stopped":
        started_ns = started_at_ns(task.pid) or record.created_at_ns
    runs = task is not None and task.pid and str(task.status) != "stopped"
    return (
        record.id if whole else short_id(record.id),
        record.image,
        command_text(record.spec, whole=whole),
        ago(record.created_at_ns, now_ns),
        status_text(task, started_ns=started_ns, now_ns=now_ns),
        task.pid if runs and task is not None else "-",
    )


def _object(record: Container, task: Process | None) -> dict[str, object]:
    process = record.spec.get("process")
    return {
        "id": record.id,
        "image": record.image,
        "command": process.get("args", []) if isinstance(process, dict) else [],
        "created_at_ns": record.created_at_ns,
        "status": "created" if task is None else str(task.status),
        "pid": 0 if task is None else task.pid,
        "exit_status": None if task is None or str(task.status) != "stopped" else task.exit_status,
        "exited_at_ns": 0 if task is None else task.exited_at_ns,
        "labels": plain(record.labels),
    }
