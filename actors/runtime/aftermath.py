"""A shim that is dead: its container is ended, what it left is removed, and the truth is told once.

The exit status is the journal's when the shim had noted it; else the container was killed here, which is 137 (128 +
SIGKILL), or nobody knows, which is 255. Events that nobody had acknowledged are still delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

from actors.runtime import bundle, fitting
from actors.runtime.entry import Entry
from linux import cgroups, mount
from shim import journal

if TYPE_CHECKING:
    from actors.runtime.service import Runtime

log = logging.getLogger("runtime")

KILLED = 137
UNKNOWN = 255


async def clean(runtime: Runtime, entry: Entry) -> None:
    """Everything of a dead shim but the bundle, which `tasks.delete` removes; then the events. Idempotent."""
    contents = await runtime.worker.blocking(journal.read_journal, entry.path)
    ended = contents.exit_of(entry.id) is not None
    try:
        async with asyncio.timeout(runtime.timeout("shim.cleanup") + 1.0):
            killed = await runtime.worker.blocking(_end_container, entry, runtime.timeout("shim.cleanup"))
    except TimeoutError:
        log.error("clean-up after a dead shim took too long id=%s namespace=%s", entry.id, entry.namespace)
        killed = False
    records = list(contents.records)
    for record in contents.records:
        entry.take_event(record.topic, record.event)
    if not ended:
        status = KILLED if killed else UNKNOWN
        records += _missing_exits(entry, contents, status)
    for record in records:
        if record.seq > contents.acknowledged:
            runtime.forwarder.put(entry, seq=record.seq, time_ns=record.time_ns, topic=record.topic, event=record.event)
    entry.seq = records[-1].seq if records else contents.last_seq


def _missing_exits(entry: Entry, contents: journal.Contents, status: int) -> list[journal.Record]:
    """The exits that the shim could not note: execs first, the container's first process last. Written to the
    journal.
    """
    seq = contents.last_seq
    now_ns = time.time_ns()
    missing: list[journal.Record] = []
    for exec_id, known in sorted(entry.processes.items(), reverse=True):
        id_ = exec_id or entry.id
        if not known.pid or contents.exit_of(id_) is not None:
            continue
        seq += 1
        event: dict[str, Any] = {
            "container_id": entry.id,
            "id": id_,
            "pid": known.pid,
            "exit_status": status,
            "exited_at": now_ns,
        }
        record = journal.Record(seq, now_ns, "/tasks/exit", event)
        missing.append(record)
        entry.take_event(record.topic, event)
    if missing:
        with contextlib.suppress(OSError), open(f"{entry.path}/journal", "ab") as file:
            file.write(b"".join(journal.encode_record(record) for record in missing))
    return missing


def _end_container(entry: Entry, timeout_s: float) -> bool:
    """Blocking: kill what runs, let the runtime forget it, unmount. Whether there was anything to kill."""
    file = entry.file
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file.socket)
    state = f"{file.runtime_root}/{file.id}"
    known = os.path.isdir(state)
    if known:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                [file.runtime, "--root", file.runtime_root, "delete", "--force", file.id],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
    with contextlib.suppress(OSError, ValueError):
        _, directory = fitting.cgroup_directories(bundle.read_spec(entry.path))
        if directory and os.path.isdir(directory):
            cgroups.kill(directory)
            cgroups.remove(directory, timeout_s=timeout_s)
    with contextlib.suppress(OSError):
        mount.unmount_beneath(f"{entry.path}/rootfs")
    return known


def unmount(entry: Entry) -> None:
    """Blocking: unmount what is left on a root file system. Idempotent."""
    with contextlib.suppress(OSError):
        mount.unmount_beneath(f"{entry.path}/rootfs")
