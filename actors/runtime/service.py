"""`tasks.*`: what clients ask, answered from what is known and from the shims."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

import msgspec

from actors.call import Call, Reply, handles
from actors.runtime import adoption, aftermath, bundle, fitting, lifecycle, logs, shimprocess
from actors.runtime.answers import Answers
from actors.runtime.entry import Entry, Known, Phase
from actors.runtime.forwarding import Forwarder
from actors.runtime.launch import Launcher
from actors.runtime.link import ShimLink
from actors.runtime.table import Table
from linux import mountinfo
from shim import protocol
from wharfie import errors, failpoint
from wharfie.identifiers import check_identifier
from wharfie.oci.host import fit_process
from wharfie.types import tasks
from wharfie.types.base import Empty

if TYPE_CHECKING:
    from actors.worker import Worker
    from config.paths import Paths
    from config.settings import Settings

log = logging.getLogger("runtime")


class Runtime:
    """The service. Methods without a handler's mark are what its parts share."""

    def __init__(self, worker: Worker, *, paths: Paths, settings: Settings) -> None:
        self.worker = worker
        self.paths = paths
        self.settings = settings
        self.table = Table()
        self.launcher = Launcher(worker)
        self.forwarder = Forwarder(worker)
        self.answers = Answers(f"{paths.tasks}/.answers")
        mounts = mountinfo.read()
        self.facts = fitting.host_facts(mounts)
        self.hierarchies = fitting.hierarchies(mounts)
        self.orphans = aftermath.Orphans(worker)
        self._finishing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Find the tasks of earlier incarnations and adopt them in the background."""
        self.forwarder.start()
        self.worker.on_stop(self._finish)
        for entry in adoption.find(self):
            self.worker.spawn(adoption.adopt(self, entry))

    async def _finish(self) -> None:
        """Bring what was cut short to its end; the next daemon would do it, but there may be none."""
        for entry in self.table:
            if entry.is_deleted and entry.phase is Phase.LIVE:
                self._soon(self.finish_delete(entry))
            elif entry.phase is Phase.CREATING and entry.settled.is_set():
                self._soon(self.discard(entry))
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=self.timeout("shim.shutdown"))

    def finish_soon(self, entry: Entry) -> None:
        """`finish_delete` in the background."""
        self._soon(self.finish_delete(entry))

    def _soon(self, work: Awaitable[None]) -> None:
        task = self.worker.spawn(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    def timeout(self, name: str) -> float:
        """One of `[timeouts]`, in seconds."""
        return self.settings.timeouts[name]

    def log_path(self, namespace: str, container_id: str) -> str:
        """The file behind `log://`."""
        return f"{self.paths.root}/logs/{namespace}/{container_id}.log"

    # -- shims -------------------------------------------------------------------------------------------------------

    def attach(self, entry: Entry, sock: socket.socket) -> None:
        """Talk to a task's shim over a connected socket."""

        def on_event(event: protocol.Event) -> None:
            if event.seq > entry.seq or entry.phase is Phase.RECOVERING:
                entry.seq = max(entry.seq, event.seq)
                entry.take_event(event.topic, event.event)
            self.forwarder.put(entry, seq=event.seq, time_ns=event.time_ns, topic=event.topic, event=event.event)

        def on_end() -> None:
            entry.link = None
            entry.changed()
            if entry.phase in (Phase.LIVE, Phase.RECOVERING):
                entry.burial = self.worker.spawn(self.bury(entry))

        entry.link = ShimLink(sock, on_event=on_event, on_end=on_end)

    async def bury(self, entry: Entry) -> None:
        """A task's shim is dead: clean up, tell the truth, keep the task as stopped until it is deleted."""
        if entry.phase not in (Phase.LIVE, Phase.RECOVERING):
            return
        log.warning("shim is dead id=%s namespace=%s", entry.id, entry.namespace)
        await aftermath.clean(self, entry)
        if entry.is_deleted:
            # It died in the middle of a delete that was answered.
            entry.settled.set()
            await self.finish_delete(entry)
            return
        if not entry.processes[""].pid:
            # Its create never came to an end: there is no task to keep.
            await self.discard(entry)
            return
        entry.phase = Phase.DEAD
        entry.settled.set()
        entry.changed()

    async def discard(self, entry: Entry) -> None:
        """Undo a create: shim, mounts, bundle and name are gone afterwards."""
        entry.phase = Phase.DELETING
        entry.is_deleted = True
        await self._end_shim(entry)
        await self.worker.blocking(aftermath.end_container, self, entry, self.timeout("shim.cleanup"))
        await self.worker.blocking(bundle.remove, entry.path)
        entry.settled.set()
        self.table.drop(entry)

    async def finish_delete(self, entry: Entry) -> None:
        """The rest of a delete, behind the caller's back: events stored, shim ended, bundle gone, name free.

        Idempotent: a second one waits for the first.
        """
        if entry.phase is Phase.DELETING:
            await entry.gone.wait()
            return
        entry.phase = Phase.DELETING
        failpoint.hit("runtime.delete.before-cleanup")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.timeout("shim.cleanup")):
                await self.forwarder.stored(entry, entry.seq)
        if not await self._end_shim(entry):
            await aftermath.finish(self, entry)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry.file.socket)
        await self.worker.blocking(bundle.remove, entry.path)
        failpoint.hit("runtime.delete.after-cleanup")
        self.table.drop(entry)

    async def _end_shim(self, entry: Entry) -> bool:
        """Ask a shim to end, which it does when all is tidied up; kill it when it does not. Whether it said so."""
        link, entry.link = entry.link, None
        if link is None:
            return False
        try:
            await link.call("shutdown", None, msgspec.Raw, timeout_s=self.timeout("shim.shutdown"))
            await link.ended(self.timeout("shim.shutdown"))
        except errors.WharfieError as error:
            if error.details.get("reason") != "shim_gone":
                log.warning("shim killed id=%s pid=%d: %s", entry.id, entry.shim_pid, error)
                pid, start_time = bundle.read_shim(entry.path)
                await self.worker.blocking(lambda: shimprocess.end(pid, start_time, runtime=entry.file.runtime))
            return False
        finally:
            link.close()
        return True

    def drop_log(self, namespace: str, container_id: str) -> None:
        """Remove what a task wrote to `log://`. Idempotent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log_path(namespace, container_id))

    async def _entry(self, call: Call, container_id: str) -> Entry:
        """A task that is known for sure; one that is being recovered is waited for, within the caller's time."""
        entry = self.table.get(call.namespace, container_id)
        if entry.phase is Phase.RECOVERING:
            try:
                async with asyncio.timeout(self.timeout("shim.load")):
                    await entry.settled.wait()
            except TimeoutError:
                raise errors.Unavailable(
                    f"the shim of container '{container_id}' is silent", details={"reason": "shim_silent"}
                ) from None
        if entry.burial is not None:
            await asyncio.shield(entry.burial)
        if entry.is_deleted:
            raise errors.NotFound(f"task of container '{container_id}' is being deleted")
        return entry

    # -- handlers ----------------------------------------------------------------------------------------------------

    @handles("tasks.create")
    async def create(self, call: Call, request: tasks.Create) -> tasks.Created:
        """Make a task."""
        check_identifier(request.container_id, field="container_id")
        return await lifecycle.create(self, call, request)

    @handles("tasks.start")
    async def start_process(self, call: Call, request: tasks.Start) -> tasks.Created:
        """Start the first process, or an exec."""
        entry = await self._entry(call, request.container_id)
        known = entry.process(request.exec_id)
        target = protocol.Target(container_id=entry.id, exec_id=request.exec_id)
        pid = (
            await entry.live_link().call(
                "start", target, protocol.Pid, timeout_s=self.timeout("runtime.command"), key=call.key
            )
        ).pid
        known.pid = pid
        failpoint.hit("runtime.start.before-reply")
        return tasks.Created(pid=pid, container_id=entry.id, exec_id=request.exec_id)

    @handles("tasks.get")
    async def get(self, call: Call, request: tasks.Get) -> tasks.Process:
        """The state of a process, from its shim; `unknown` when the shim is silent."""
        entry = self.table.get(call.namespace, request.container_id)
        if entry.phase is Phase.RECOVERING:
            # Adoption takes milliseconds; who asks right after a restart gets the state and not "unknown".
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timeout("task.state")):
                    await entry.settled.wait()
        if entry.is_deleted or entry.phase is Phase.CREATING:
            raise errors.NotFound(f"task of container '{entry.id}' is not there: it is being made, or was deleted")
        known = entry.process(request.exec_id)
        if entry.link is None or entry.phase is not Phase.LIVE:
            return entry.describe(known)
        target = protocol.Target(container_id=entry.id, exec_id=request.exec_id)
        try:
            state = await entry.link.call("state", target, protocol.ProcessState, timeout_s=self.timeout("task.state"))
        except errors.DeadlineExceeded:
            return entry.describe(known, unknown=True)
        except errors.Unavailable:
            return entry.describe(known)
        return entry.describe(entry.take_state(state))

    @handles("tasks.list")
    def list(self, call: Call, request: tasks.List) -> tasks.Listing:  # noqa: ARG002
        """Every task, from what is known: a slow shim delays no list and is never left out."""
        entries = [
            entry
            for entry in self.table.of_namespace(call.namespace)
            if not entry.is_deleted and entry.phase is not Phase.CREATING
        ]
        return tasks.Listing(tasks=[entry.describe(entry.processes[""]) for entry in entries])

    @handles("tasks.kill")
    async def kill(self, call: Call, request: tasks.Kill) -> Empty:
        """Send a signal."""
        if not 0 < request.signal <= 64:
            raise errors.InvalidArgument(f"signal {request.signal} does not exist", details={"field": "signal"})
        entry = await self._entry(call, request.container_id)
        known = entry.process(request.exec_id)
        if entry.phase is Phase.DEAD:
            raise errors.NotFound(f"process of container '{entry.id}' has already finished")
        body = protocol.Kill(container_id=entry.id, exec_id=known.exec_id, signal=request.signal, all=request.all)
        await entry.live_link().call("kill", body, msgspec.Raw, timeout_s=self.timeout("runtime.command"), key=call.key)
        return Empty()

    @handles("tasks.exec")
    async def exec(self, call: Call, request: tasks.Exec) -> Empty:
        """Register another process."""
        check_identifier(request.exec_id, field="exec_id")
        entry = await self._entry(call, request.container_id)
        process = dict(request.process)
        name = process.get("user", {}).get("username")
        # In a thread: the container's files may lie on a file system that hangs.
        user = await self.worker.blocking(fitting.user_of_root, str(name), f"{entry.path}/rootfs") if name else None
        bundle.write_process(entry.path, request.exec_id, fit_process(process, self.facts, user=user))
        failpoint.hit("runtime.exec.after-process")
        stdio = request.stdio
        body = protocol.Exec(
            container_id=entry.id,
            exec_id=request.exec_id,
            stdio=protocol.Stdio(stdin=stdio.stdin, stdout=stdio.stdout, stderr=stdio.stderr, terminal=stdio.terminal),
        )
        await entry.live_link().call("exec", body, msgspec.Raw, timeout_s=self.timeout("runtime.command"), key=call.key)
        known = entry.processes.get(request.exec_id)
        if known is None:
            entry.processes[request.exec_id] = Known(request.exec_id, stdio)
        else:
            known.stdio = stdio
        return Empty()

    @handles("tasks.delete")
    async def delete(self, call: Call, request: tasks.Delete) -> tasks.Exit:
        """Remove a stopped process."""
        return await lifecycle.delete(self, call, request)

    @handles("tasks.wait")
    async def wait(self, call: Call, request: tasks.Wait) -> tasks.Exit:
        """Answer when the process has ended."""
        entry = self.table.get(call.namespace, request.container_id)
        while True:
            if entry.phase is not Phase.RECOVERING:
                known = entry.processes.get(request.exec_id)
                if known is None or (entry.gone.is_set() and known.status is not tasks.Status.STOPPED):
                    raise errors.NotFound(
                        f"process '{request.exec_id}' of container '{request.container_id}' not found"
                        f" in namespace '{call.namespace}'"
                    )
                if known.status is tasks.Status.STOPPED:
                    return entry.exit_of(known)
            await entry.next_change()

    @handles("tasks.pids")
    async def pids(self, call: Call, request: tasks.GetPids) -> tasks.Pids:
        """The pids of a container."""
        entry = await self._entry(call, request.container_id)
        target = protocol.Target(container_id=entry.id)
        answer = await entry.live_link().call("pids", target, protocol.Pids, timeout_s=self.timeout("runtime.command"))
        return tasks.Pids(processes=[tasks.ProcessPid(pid=one.pid, exec_id=one.exec_id) for one in answer.processes])

    @handles("tasks.close_io")
    async def close_io(self, call: Call, request: tasks.CloseIO) -> Empty:
        """The process sees the end of its stdin."""
        entry = await self._entry(call, request.container_id)
        target = protocol.Target(container_id=entry.id, exec_id=request.exec_id)
        await entry.live_link().call("close_io", target, msgspec.Raw, timeout_s=self.timeout("runtime.command"))
        return Empty()

    @handles("tasks.logs")
    async def logs(self, call: Call, request: tasks.Logs) -> AsyncIterator[Reply]:
        """The log of a task."""
        check_identifier(request.container_id, field="container_id")
        async for item in logs.read(self, call.namespace, request):
            yield item

    @handles("runtime.ping")
    def ping(self, call: Call, request: Empty) -> Empty:  # noqa: ARG002
        """Answer."""
        return Empty()
