"""Jobs and shims: processes that the supervisor forks because an actor asked for them.

They have no specification and are never restarted. A job dies with the incarnation that asked for it; a shim belongs to
nobody, and its end is told to whoever bears the name of the actor that asked for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable
from functools import partial

from actors.control import ControlMessage, ForkJob, ForkShim, JobExited, JobStarted, ShimExited, ShimStarted
from linux import pidfd
from shim.nursery import Nursery
from supervisor import child
from supervisor.events import Exit
from supervisor.incarnation import Incarnation, reap, was_oom
from supervisor.loop import Loop
from supervisor.memory import KernelLog

log = logging.getLogger("supervisor")

SHIM_TARGET = "shim.main:main"

Deliver = Callable[[str, int | None, ControlMessage, tuple[int, ...]], None]
"""Send a message with descriptors to an actor's incarnation, or (None) to its present one; drop it if it is gone."""


class Process:
    """One job or shim. Owns its pidfd."""

    def __init__(self, request: ForkJob | ForkShim, *, owner: str, generation: int, pid: int, now_s: float) -> None:
        self.id = request.id
        self.name = request.name
        self.is_shim = isinstance(request, ForkShim)
        self.owner = owner
        self.generation = generation
        self.pid = pid
        self.started_s = now_s
        self.pidfd = os.pidfd_open(pid)


class Offspring:
    """All jobs and shims that live."""

    def __init__(self, loop: Loop, *, kernel_log: KernelLog, deliver: Deliver) -> None:
        self._loop = loop
        self._kernel_log = kernel_log
        self._deliver = deliver
        self._by_pid: dict[int, Process] = {}
        self._nursery = Nursery()

    def __contains__(self, pid: object) -> bool:
        return pid in self._by_pid

    def of(self, owner: str) -> list[Process]:
        """Those that an actor asked for, oldest first."""
        return [process for process in self._by_pid.values() if process.owner == owner]

    def jobs(self) -> list[Process]:
        """Every job that lives."""
        return [process for process in self._by_pid.values() if not process.is_shim]

    def fork(self, owner: Incarnation, request: ForkJob | ForkShim, fds: list[int]) -> None:
        """Fork what was asked for and say so; takes `fds` over."""
        is_shim = isinstance(request, ForkShim)
        try:
            pid = self._fork(request, fds)
        except OSError as error:
            text = f"{request.name} not forked: {error.strerror}"
            log.error("fork failed", extra={"actor": owner.name, "error": text})
            failed = ShimExited(id=request.id, pid=0, error=text) if is_shim else JobExited(id=request.id, error=text)
            self._deliver(owner.name, owner.generation, failed, ())
            return
        finally:
            for fd in fds:
                os.close(fd)
        process = Process(request, owner=owner.name, generation=owner.generation, pid=pid, now_s=self._loop.now_s())
        self._by_pid[pid] = process
        self._loop.watch(process.pidfd, partial(self.collect, pid))
        if is_shim:
            started = ShimStarted(id=request.id, pid=pid)
            self._deliver(owner.name, owner.generation, started, (os.dup(process.pidfd),))
        else:
            self._deliver(owner.name, owner.generation, JobStarted(id=request.id, pid=pid), ())

    def _fork(self, request: ForkJob | ForkShim, fds: list[int]) -> int:
        target, args = request.target, request.args
        if isinstance(request, ForkJob):
            parent_pid = os.getpid()
            body = partial(child.run_job, name=request.name, target=target, args=args, fds=fds, parent_pid=parent_pid)
            return child.fork(body)
        if target == SHIM_TARGET:
            # There are as many as containers: a fork like any other would cost each of them a megabyte.
            return self._nursery.fork_shim(args, fds)
        return child.fork(partial(child.run_shim, name=request.name, target=target, args=args, fds=fds))

    def signal(self, owner: Incarnation, id_: int, number: int) -> None:
        """Send a signal to a job's whole process group; one that is gone is no error."""
        for process in self.jobs():
            if (process.owner, process.generation, process.id) == (owner.name, owner.generation, id_):
                _signal_tree(process, number)
                return

    def owner_gone(self, name: str, generation: int) -> None:
        """An incarnation is dead: so are its jobs."""
        for process in self.jobs():
            if process.owner == name and process.generation == generation:
                _signal_tree(process, signal.SIGKILL)

    def kill_jobs(self) -> None:
        """End every job; at the end of the supervisor."""
        for process in self.jobs():
            _signal_tree(process, signal.SIGKILL)

    def collect(self, pid: int) -> None:
        """Reap a job or shim that has ended, and tell its owner."""
        process = self._by_pid[pid]
        result = reap(pid, with_group=not process.is_shim)
        if result is None:
            return
        end = result[0]
        del self._by_pid[pid]
        self._loop.unwatch(process.pidfd)
        os.close(process.pidfd)
        if process.is_shim:
            log.info("shim ended", extra={"pid": pid, "reason": end.describe()})
            message = ShimExited(id=process.id, pid=pid, exit_code=end.code, signal=end.signal)
            self._deliver(process.owner, None, message, ())
            return
        self._job_ended(process, end)

    def _job_ended(self, process: Process, end: Exit) -> None:
        oom = was_oom(end, pid=process.pid, group=None, kernel_log=self._kernel_log)
        message = JobExited(id=process.id, exit_code=end.code, signal=end.signal, oom=oom)
        self._deliver(process.owner, process.generation, message, ())

    def close(self) -> None:
        """Close every pidfd; shims go on, and are adopted by the next daemon."""
        for process in self._by_pid.values():
            self._loop.unwatch(process.pidfd)
            os.close(process.pidfd)
        self._by_pid.clear()
        self._nursery.close()


def _signal_tree(process: Process, number: int) -> None:
    # A job that has not come as far as its own process group yet is alone.
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pidfd.send_signal(process.pidfd, number)
    except PermissionError:
        log.warning("job not signalled", extra={"pid": process.pid})


def reap_orphans(ours: Callable[[int], bool], collect: Callable[[int], None]) -> Iterable[tuple[int, Exit]]:
    """Reap every dead process that came home to this subreaper, and yield its pid and its end.

    A dead child of ours (`ours`) is handed to `collect` instead: its status belongs to whoever watches its pidfd.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        if ours(found.si_pid):
            collect(found.si_pid)
            continue
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
        if found.si_code == os.CLD_EXITED:
            yield found.si_pid, Exit(code=found.si_status)
        else:
            yield found.si_pid, Exit(signal=found.si_status)
