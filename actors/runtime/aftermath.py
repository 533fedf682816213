"""A shim that is dead: its container is ended, what it left is removed, and the truth is told once.

The exit status is the journal's when the shim had noted it; else what the supervisor saw of the process that came home
to it; else the container was killed here, which is 137 (128 + SIGKILL), or nobody knows, which is 255. Events that
nobody had acknowledged are still delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from actors.control import OrphanExited
from actors.runtime import bundle, fitting, shimprocess
from actors.runtime.entry import Entry
from linux import cgroups, mount
from shim import journal
from wharfie.oci.spec import cgroups_path
from wharfie.types.base import Json

if TYPE_CHECKING:
    from actors.runtime.service import Runtime
    from actors.worker import Worker

log = logging.getLogger("runtime")

KILLED = 137
UNKNOWN = 255

REMEMBERED_ORPHANS = 1024


class Orphans:
    """Exit statuses of processes that came home to the supervisor, the newest ones, by pid."""

    def __init__(self, worker: Worker) -> None:
        self._by_pid: OrderedDict[int, int] = OrderedDict()
        worker.on_control(OrphanExited, self._on_exited)

    def _on_exited(self, message: Any, fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        status = 128 + message.signal if message.signal else message.exit_code
        if status is not None:
            self._by_pid[message.pid] = status
            if len(self._by_pid) > REMEMBERED_ORPHANS:
                self._by_pid.popitem(last=False)

    def take(self, pid: int) -> int | None:
        """How a process ended, when it came home; said once, because pids come again."""
        return self._by_pid.pop(pid, None)


async def clean(runtime: Runtime, entry: Entry) -> None:
    """Everything of a dead shim but the bundle, which `tasks.delete` removes; then the events. Idempotent."""
    killed = await _end(runtime, entry)
    contents = await runtime.worker.blocking(journal.read_journal, entry.path)
    for record in contents.records:
        entry.take_event(record.topic, record.event)
    _deliver(runtime, entry, contents, _missing_exits(runtime, entry, contents, KILLED if killed else UNKNOWN))


async def finish(runtime: Runtime, entry: Entry) -> None:
    """The end of a delete that was answered and whose shim did not live to say `/tasks/delete`. Idempotent."""
    await _end(runtime, entry)
    contents = await runtime.worker.blocking(journal.read_journal, entry.path)
    missing = []
    if not contents.has_deletion:
        exit_ = entry.exit_of(entry.processes[""])
        event = {
            "container_id": entry.id,
            "id": entry.id,
            "pid": exit_.pid,
            "exit_status": exit_.exit_status,
            "exited_at_ns": exit_.exited_at_ns,
        }
        missing = [journal.Record(contents.last_seq + 1, time.time_ns(), "/tasks/delete", event)]
    _deliver(runtime, entry, contents, missing)


async def _end(runtime: Runtime, entry: Entry) -> bool:
    limit_s = runtime.timeout("shim.cleanup")
    try:
        async with asyncio.timeout(limit_s + 1.0):
            return await runtime.worker.blocking(end_container, runtime, entry, limit_s)
    except TimeoutError:
        log.error("clean-up after a dead shim took too long id=%s namespace=%s", entry.id, entry.namespace)
        return False


def _deliver(runtime: Runtime, entry: Entry, contents: journal.Contents, missing: list[journal.Record]) -> None:
    """Write what the shim could not to its journal, and forward all that was not acknowledged."""
    if missing:
        with contextlib.suppress(OSError), open(f"{entry.path}/journal", "ab") as file:
            file.write(b"".join(journal.encode_record(record) for record in missing))
    for record in (*contents.unacknowledged, *missing):
        entry.take_event(record.topic, record.event)
        runtime.forwarder.put(entry, seq=record.seq, time_ns=record.time_ns, topic=record.topic, event=record.event)
    entry.seq = missing[-1].seq if missing else contents.last_seq
    entry.stored = max(entry.stored, contents.acknowledged)


def _missing_exits(runtime: Runtime, entry: Entry, contents: journal.Contents, fallback: int) -> list[journal.Record]:
    """The exits that the shim could not note: execs first, the container's first process last."""
    seq, now_ns = contents.last_seq, time.time_ns()
    missing: list[journal.Record] = []
    for exec_id, known in sorted(entry.processes.items(), reverse=True):
        id_ = exec_id or entry.id
        if not known.pid or contents.exit_of(id_) is not None:
            continue
        seq += 1
        seen = runtime.orphans.take(known.pid)
        event = {
            "container_id": entry.id,
            "id": id_,
            "pid": known.pid,
            "exit_status": fallback if seen is None else seen,
            "exited_at_ns": now_ns,
        }
        missing.append(journal.Record(seq, now_ns, "/tasks/exit", event))
    return missing


def end_container(runtime: Runtime, entry: Entry, timeout_s: float) -> bool:
    """Blocking: end the shim and what it had under way, kill what runs, let the runtime forget it, unmount.

    Idempotent. Returns whether the runtime knew of it, so that there may have been something to kill.
    """
    file = entry.file
    pid, start_time = bundle.read_shim(entry.path)
    shimprocess.end(pid, start_time, runtime=file.runtime)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file.socket)
    known = os.path.isdir(f"{file.runtime_root}/{file.id}")
    if known:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            subprocess.run(
                [file.runtime, "--root", file.runtime_root, "delete", "--force", file.id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=timeout_s,
                check=False,
            )
    _end_cgroups(runtime, entry, timeout_s)
    with contextlib.suppress(OSError):
        mount.unmount_beneath(f"{entry.path}/rootfs", flags=mount.MNT_DETACH)
    return known


def _end_cgroups(runtime: Runtime, entry: Entry, timeout_s: float) -> None:
    """What a runtime that was itself killed leaves: processes and groups, in every hierarchy."""
    spec: Json = {"linux": {"cgroupsPath": cgroups_path(entry.namespace, entry.id)}}
    with contextlib.suppress(OSError, ValueError):
        spec = bundle.read_spec(entry.path)
    for directory in fitting.groups_of(spec, runtime.hierarchies).every:
        if os.path.isdir(directory):
            with contextlib.suppress(OSError):
                cgroups.kill(directory)
                cgroups.remove(directory, timeout_s=timeout_s)
